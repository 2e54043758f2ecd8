package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
)

// accountInfo is where the server tells what an account has.
const accountInfo = "$JS.API.INFO"

// broker is a connection to NATS that hears what it may not do.
type broker struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	limit time.Duration

	mu     sync.Mutex
	refuse context.CancelCauseFunc // ends the request under way, nil: there is none
	deaf   error                   // why no answer is ever heard
}

// broker looks at NATS and all that is in it.
func (d *doctor) broker(ctx context.Context) {
	t := d.topic("nats")
	b, err := d.connect()
	if err != nil {
		remedy := "start NATS, or correct NATS_URL; with TLS see NATS_CA, NATS_CERT and NATS_KEY"
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
			remedy = "give credentials that the server knows: NATS_CREDS, NATS_NKEY, NATS_USER with NATS_PASSWORD, or NATS_TOKEN"
		}
		t.fail(remedy, "%v", err)
		return
	}
	defer b.nc.Close()
	t.fine("connected to %s", b.nc.ConnectedUrlRedacted())
	d.version(b.nc.ConnectedServerVersion())

	who := d.whoami(ctx, b)
	if err := b.isDeaf(); err != nil {
		d.topic("permissions").fail("add _INBOX.> to the user's subscribe permissions: all answers of JetStream come there", "%v", err)
		return
	}
	if d.jetstream(ctx, b) {
		d.permissions(who, d.streams(ctx, b))
	}
}

func (d *doctor) connect() (*broker, error) {
	b := &broker{limit: d.limit}
	// Each server has the time-out once for its address and once for the
	// handshake.
	each := d.limit / time.Duration(2*len(d.Config.NATSURL))
	nc, err := app.Dial(d.Config, nats.Timeout(each), nats.ErrorHandler(b.heard))
	if err != nil {
		return nil, err
	}
	b.nc = nc
	if b.js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	return b, nil
}

// heard is told what the server complains of. It does not answer a request that
// is not permitted, so that one would else run into its time-out.
func (b *broker) heard(_ *nats.Conn, _ *nats.Subscription, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	if strings.Contains(err.Error(), "Subscription") {
		b.deaf = err // the only subscription is the one for answers
	}
	if b.refuse != nil {
		b.refuse(err)
	}
}

func (b *broker) isDeaf() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deaf
}

func (b *broker) onRefusal(f context.CancelCauseFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = f
}

// ask makes one request in bounded time. One that is not permitted ends at once
// with nats.ErrPermissionViolation.
func (b *broker) ask(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	b.onRefusal(refuse)
	defer b.onRefusal(nil)
	err := request(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, nats.ErrPermissionViolation) {
		return cause
	}
	return err
}

// unanswered complains of a request that failed in a way of which the check
// knows nothing more.
func unanswered(t *topic, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		t.fail("permit it to the user, in the NATS server's configuration or in the user's JWT", "%v", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		t.fail("look at the NATS servers: is JetStream's cluster without a leader?", "no answer in time")
	default:
		t.fail("look at the NATS servers' log", "%v", err)
	}
}

func (d *doctor) version(v string) {
	t := d.topic("nats version")
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
		t.warn("use nats-server 2.11 or later", "%q is not a version", v)
		return
	}
	if major < 2 || major == 2 && minor < 11 {
		t.warn("use nats-server 2.11 or later: prestage is tested with nothing older", "%s", v)
	}
	t.fine("%s", v)
}

// jetstream says whether there is any use in looking at streams.
func (d *doctor) jetstream(ctx context.Context, b *broker) bool {
	t := d.topic("jetstream")
	var info *jetstream.AccountInfo
	err := b.ask(ctx, func(ctx context.Context) (err error) {
		info, err = b.js.AccountInfo(ctx)
		return err
	})
	switch {
	case err == nil:
		t.fine("enabled, %d streams, %d consumers", info.Streams, info.Consumers)
		return true
	case errors.Is(err, nats.ErrPermissionViolation): // the check of permissions tells whether it is needed
		t.warn("permit publishing to "+accountInfo+" if you want to see it; the daemon needs it only to create a bucket", "what the account has cannot be seen: %v", err)
		return true
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		t.fail("enable JetStream for this user's account, or use another account", "not enabled for the account")
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		t.fail("start nats-server with JetStream (-js, or a jetstream block in its configuration)", "not enabled")
	default:
		unanswered(t, err)
	}
	return false
}
