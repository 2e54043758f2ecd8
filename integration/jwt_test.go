package integration_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/prestage/prestage/internal/natstest"
)

// newJWTWorld is a world whose NATS is in operator mode.
func newJWTWorld(t *testing.T) (*world, *natstest.Operator) {
	t.Helper()
	w := newWorld(t, synchronous)
	o := natstest.StartOperator(t)
	w.nats, w.js = o.Server, o.JetStream(t) // from here on, in place of the other
	return w, o
}

// TestNATSCredentialsAreRenewed has the program's JWT expire, twice. Somebody has
// written a new one into the file by then: the server hangs up, the program comes
// back, and no event notices.
func TestNATSCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	w, o := newJWTWorld(t)
	creds := filepath.Join(t.TempDir(), "user.creds")
	const ttl = 15 * time.Second
	o.WriteCreds(t, creds, ttl)
	p := w.run(t, "NATS_CREDS="+creds, "PRESTAGE_ACK_WAIT=5s")
	hold := w.lota.holdFills(t)
	var events []told
	for i := range 2 {
		o.WriteCreds(t, creds, 2*ttl+time.Duration(i)*time.Hour) // long before the old one ends
		events = append(events, w.tellSurely(t, 10*i, 10*i+10)...)
		eventually(t, "the program has connected anew", func() error {
			if n := len(p.logged("reconnected")); n <= i {
				return fmt.Errorf("%d times so far", n)
			}
			return nil
		})
	}
	hold.Release()
	events = append(events, w.tellSurely(t, 20, 30)...)
	for _, e := range events {
		if r := w.ends(t, e.sent, "warm"); r.Attempts != 1 {
			t.Errorf("event %s took %d attempts, want 1", e.id, r.Attempts)
		}
	}
	w.checkInvariants(t, events, "cwlota.com", len(events))
	p.stop(t)
	if n := o.Connections(t); n > 10 {
		t.Errorf("%d connections for two that ended", n)
	}
}

// TestNATSCredentialsExpire has the program's JWT expire, and nobody who renews
// it. The program ends and says why, and what it had in hand is another's.
func TestNATSCredentialsExpire(t *testing.T) {
	t.Parallel()
	w, o := newJWTWorld(t)
	creds := filepath.Join(t.TempDir(), "user.creds")
	o.WriteCreds(t, creds, 20*time.Second)
	p := w.run(t, "NATS_CREDS="+creds, "PRESTAGE_ACK_WAIT=5s", "PRESTAGE_DRAIN_TIMEOUT=1s")
	hold := w.lota.holdFills(t)
	events := w.tellSurely(t, 0, 10)
	w.lota.filling(t, 10)
	if code := p.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := strings.TrimSpace(p.stderr.String())
	last := strings.ToLower(text[strings.LastIndex(text, "\n")+1:])
	if !strings.Contains(last, "nats connection closed for good: nats: authorization") {
		t.Errorf("the last line is %q", last)
	}
	if n := o.Connections(t); n > 10 {
		t.Errorf("%d connections", n)
	}
	hold.Release()

	o.WriteCreds(t, creds, time.Hour)
	w.run(t, "NATS_CREDS="+creds, "PRESTAGE_ACK_WAIT=5s")
	for _, e := range events {
		w.ends(t, e.sent, "warm")
	}
	w.checkInvariants(t, events, "cwlota.com", 0)
}

// TestAccountLimits has the account of the program be allowed too few streams at
// first, and later no more storage. It waits and says for what.
func TestAccountLimits(t *testing.T) {
	t.Parallel()
	w, o := newJWTWorld(t)
	creds := filepath.Join(t.TempDir(), "user.creds")
	o.WriteCreds(t, creds, 0)
	o.Limit(t, func(l *jwt.JetStreamLimits) { l.Streams = 2 })
	p := launch(t, raceBuild, w.environ(t, "NATS_CREDS="+creds, "PRESTAGE_ACK_WAIT=5s"))
	p.says(t, "maximum number of streams reached")
	w.staysCalm(t, p, 5*time.Second)
	o.Limit(t, func(l *jwt.JetStreamLimits) { l.Streams = jwt.NoLimit })
	p.ready(t)

	hold := w.lota.holdFills(t)
	events := w.tellSurely(t, 0, 3)
	bad := w.checkpoint(t, "bad", map[string]any{"uri": "not a URI"})
	w.letter(t, bad)
	w.lota.filling(t, 3)
	info, err := w.js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.Limit(t, func(l *jwt.JetStreamLimits) { l.DiskStorage = int64(info.Store) })
	hold.Release()
	p.says(t, "resource limits exceeded for account")
	w.held(t, 3)
	w.staysCalm(t, p, 8*time.Second)
	w.held(t, 3)

	o.Limit(t, func(l *jwt.JetStreamLimits) { l.DiskStorage = jwt.NoLimit })
	for _, e := range events {
		if r := w.ends(t, e.sent, "warm"); r.Attempts != 1 {
			t.Errorf("event %s took %d attempts, want 1", e.id, r.Attempts)
		}
	}
	w.settled(t)
	w.lota.mustHaveAsked(t, once("run-7/shard-000.pt", "run-7/shard-001.pt", "run-7/shard-002.pt"))
}
