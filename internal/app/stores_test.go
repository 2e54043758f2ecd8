package app

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/natstest"
)

// storeStreams are the streams that prestage writes to, those of buckets
// included, and what /readyz calls them.
var storeStreams = map[string]string{
	consumer.ResultsStream: "stream PRESTAGE_RESULTS",
	dlq.Stream:             "stream PRESTAGE_DLQ",
	"KV_" + ObjectsBucket:  "bucket prestage_objects",
	"KV_" + ReceiptsBucket: "bucket prestage_receipts",
}

// TestStoreDeleted: somebody deletes what the daemon writes to.
func TestStoreDeleted(t *testing.T) {
	t.Parallel()
	for stream, name := range storeStreams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			environ, _ := fakeLOTA(t)
			d := start(t, append(environ, "NATS_URL="+srv.URL())...)
			d.ready(t, http.StatusOK, "ok")
			js := srv.JetStream(t)
			before, err := js.Stream(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			d.ready(t, http.StatusServiceUnavailable, "not ready: deleted: "+name+"\n")
			d.ready(t, http.StatusOK, "ok")
			after, err := js.Stream(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			if b, a := before.CachedInfo().Config, after.CachedInfo().Config; a.MaxAge != b.MaxAge || a.MaxBytes != b.MaxBytes || len(a.Subjects) != len(b.Subjects) {
				t.Errorf("before %+v, now %+v", b, a)
			}
			if len(d.log.lines(`"level":"ERROR"`, "is gone", name)) != 1 || len(d.log.lines("are there again")) != 1 {
				t.Errorf("said: %v", d.log.lines(""))
			}
			if err := d.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStoreDeletedWithoutProvision waits until somebody else makes it anew.
func TestStoreDeletedWithoutProvision(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	environ, _ := fakeLOTA(t)
	environ = append(environ, "NATS_URL="+srv.URL())
	js := srv.JetStream(t)
	p, _ := newProvisioner(t, js, environ...)
	if _, err := p.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	d := start(t, append(environ, "PRESTAGE_PROVISION=false")...)
	d.ready(t, http.StatusOK, "ok")
	for stream := range storeStreams {
		if err := js.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	d.ready(t, http.StatusServiceUnavailable,
		"not ready: deleted: stream PRESTAGE_RESULTS, stream PRESTAGE_DLQ, bucket prestage_objects, bucket prestage_receipts\n")
	time.Sleep(2 * lookEvery)
	if lines := d.log.lines("not provisioned again"); len(lines) > 0 {
		t.Errorf("tried what it must not do: %v", lines)
	}
	if _, err := p.stores(bounded(t), d.cfg.Setup()); err != nil {
		t.Fatal(err)
	}
	d.ready(t, http.StatusOK, "ok")
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

// TestStoresCannotBeAsked: no answer does not mean that something is missing.
func TestStoresCannotBeAsked(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	p, _ := newProvisioner(t, srv.JetStream(t))
	r, err := p.ensure(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := r.missing(bounded(t)); missing != nil || err != nil {
		t.Error(missing, err)
	}
	for what, change := range map[string]func(*stores){
		"a stream": func(s *stores) { s.letters = muteStream{s.letters} },
		"a bucket": func(s *stores) { s.receipts = muteBucket{s.receipts} },
	} {
		s := r.stores
		change(&s)
		if missing, err := s.missing(bounded(t)); missing != nil || !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("%s does not answer: %v, %v", what, missing, err)
		}
	}
	srv.Stop()
	if missing, err := r.missing(bounded(t)); missing != nil || err == nil {
		t.Error(missing, err)
	}
}

// muteStream and muteBucket do not say whether they exist.
type (
	muteStream struct{ jetstream.Stream }
	muteBucket struct{ jetstream.KeyValue }
)

func (muteStream) Info(context.Context, ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	return nil, nats.ErrTimeout
}

func (muteBucket) Status(context.Context) (jetstream.KeyValueStatus, error) {
	return nil, nats.ErrTimeout
}
