package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestLinkToNATS has something wrong with the way to NATS for longer than
// AckWait, while events are in hand and more arrive. With INTEGRATION_LONG=1 it
// lasts until the client itself takes the server for dead.
func TestLinkToNATS(t *testing.T) {
	t.Parallel()
	outage := 12 * time.Second
	if os.Getenv("INTEGRATION_LONG") == "1" {
		outage = 90 * time.Second
	}
	for name, tt := range map[string]struct {
		begin, end func(*proxy) error
	}{
		"partition": {
			begin: func(p *proxy) error { p.hold(true); return nil },
			end:   func(p *proxy) error { p.hold(false); return nil },
		},
		"slow": {
			begin: func(p *proxy) error { p.slow(200 * time.Millisecond); return nil },
			end:   func(p *proxy) error { p.slow(0); return nil },
		},
		"refused": {
			begin: func(p *proxy) error { p.refuse(); p.cut(); return nil },
			end:   (*proxy).accept,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.keepReceipts(t)
			rule := lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Latency, For: 200 * time.Millisecond}
			if _, err := w.lota.AddRule(rule); err != nil {
				t.Fatal(err)
			}
			link := newProxy(t, strings.TrimPrefix(w.nats.URL(), "nats://"))
			p := w.run(t, "NATS_URL=nats://"+link.addr, "PRESTAGE_ACK_WAIT=5s", "PRESTAGE_CONCURRENCY=5")

			events := w.tellSurely(t, 0, 60)
			eventually(t, "some objects were asked for", func() error {
				if n := len(w.lota.asked()); n < 5 {
					return fmt.Errorf("%d were", n)
				}
				return nil
			})
			if err := tt.begin(link); err != nil {
				t.Fatal(err)
			}
			events = append(events, w.tellSurely(t, 60, 80)...)
			w.staysCalm(t, p, outage)
			if err := tt.end(link); err != nil {
				t.Fatal(err)
			}
			events = append(events, w.tellSurely(t, 80, 100)...)
			for _, e := range events {
				if r := w.ends(t, e.sent, "warm"); r.Attempts != 1 {
					t.Errorf("event %s took %d attempts, want 1", e.id, r.Attempts)
				}
			}
			w.checkInvariants(t, events, "cwlota.com", 0)
		})
	}
}
