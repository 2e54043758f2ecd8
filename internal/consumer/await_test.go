package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

const awaited = "c.e.s.EVENTS.7"

// awaitedReceipt is a bucket, with a function that writes the receipt awaited.
func awaitedReceipt(t *testing.T) (kv jetstream.KeyValue, put func(Receipt)) {
	t.Helper()
	kv, err := natstest.Start(t).JetStream(t).CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "prestage_receipts"})
	if err != nil {
		t.Fatal(err)
	}
	return kv, func(r Receipt) {
		t.Helper()
		value, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), awaited, value); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	for _, o := range []Outcome{Warm, Skipped, DeadLettered} {
		t.Run(string(o), func(t *testing.T) {
			t.Parallel()
			kv, put := awaitedReceipt(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			type result struct {
				r   Receipt
				err error
			}
			watching := watched{kv, make(chan struct{}, 1), make(chan struct{}, 1)}
			got := make(chan result, 1)
			go func() {
				r, err := Await(ctx, watching, awaited, nil)
				got <- result{r, err}
			}()
			<-watching.begun
			put(Receipt{Outcome: Pending, Attempts: 1, FirstRefusal: time.Now(), RetryAt: time.Now()})
			select {
			case r := <-got:
				t.Fatalf("a pending one ends it: %+v", r)
			case <-watching.polled:
				t.Fatal("it polls")
			case <-time.After(50 * time.Millisecond):
			}
			put(Receipt{Outcome: o, Attempts: 2})
			r := <-got
			if diff := cmp.Diff(Receipt{Outcome: o, Attempts: 2}, r.r); diff != "" || r.err != nil {
				t.Error(r.err, diff) // nothing of the pending one is left
			}
			// One of a stream that was deleted since tells nothing.
			brief, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer end()
			if r, err := Await(brief, watching, awaited, StoredSince(time.Now())); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("an older receipt ended it: %+v, %v", r, err)
			}
			// One that is final already is found at once.
			if r, err := Await(ctx, watching, awaited, nil); err != nil || r.Outcome != o {
				t.Errorf("%+v, %v", r, err)
			}
			if len(watching.polled) != 0 {
				t.Error("it polls")
			}
		})
	}
}

// watched is a bucket that tells how it is read.
type watched struct {
	jetstream.KeyValue
	begun  chan struct{}
	polled chan struct{}
}

func (w watched) Watch(ctx context.Context, keys string, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	kw, err := w.KeyValue.Watch(ctx, keys, opts...)
	select {
	case w.begun <- struct{}{}:
	default:
	}
	return kw, err
}

func (w watched) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	w.polled <- struct{}{}
	return w.KeyValue.Get(ctx, key)
}

func TestAwaitTimesOut(t *testing.T) {
	t.Parallel()
	kv, put := awaitedReceipt(t)
	put(Receipt{Outcome: Pending, Error: "no luck"})
	for range 20 { // the watch ends at the same moment, and must not be taken for the cause
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		r, err := Await(ctx, kv, awaited, nil)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || (r.Error != "no luck" && r.Error != "") {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}

func TestAwaitUnreadable(t *testing.T) {
	t.Parallel()
	kv, _ := awaitedReceipt(t)
	if _, err := kv.PutString(t.Context(), awaited, "{"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := Await(ctx, kv, awaited, nil); err == nil || !strings.Contains(err.Error(), "read receipt") {
		t.Errorf("got %v", err)
	}
}
