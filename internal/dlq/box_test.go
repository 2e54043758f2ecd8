package dlq

import (
	"bytes"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/outcome"
)

func TestEach(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	if got := r.all(t); got != nil {
		t.Errorf("an empty stream has %+v", got)
	}
	for name := range r.letters.ConsumerNames(t.Context()).Name() {
		t.Errorf("an empty stream was read with consumer %s", name)
	}
	ev := r.event(t, nats.Header{"X": {"1"}}, body)
	want := r.letter(t, ev, nil)
	if _, err := r.js.Publish(t.Context(), Subject("c2", "EVENTS", 1), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.js.Publish(t.Context(), Subject(cluster, "EVENTS", 2), nil); err != nil {
		t.Fatal(err)
	}
	got := r.all(t)
	if len(got) != 2 || got[1].Damage == "" {
		t.Fatalf("got %+v", got)
	}
	if diff := cmp.Diff(want.Header, got[0].Header); diff != "" || got[0].Damage != "" || got[0].EventSubject != subject || string(got[0].Data) != body {
		t.Errorf("got %+v, %s", got[0], diff)
	}
	if buckets := got[0].Content().Buckets; !cmp.Equal(buckets, []string{"ckpt"}) {
		t.Errorf("buckets %q", buckets)
	}

	// What is stored while it is read is left out, and what is deleted is not
	// waited for.
	for range 600 {
		r.letter(t, ev, nil)
	}
	n := 0
	if err := r.Each(t.Context(), nil, func(l Letter) error {
		if n++; n == 1 {
			r.letter(t, ev, nil)
			if err := r.letters.Purge(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return nil
	}); err != nil || n == 0 || n > 602 {
		t.Errorf("%d letters, %v", n, err)
	}

	r.letter(t, ev, nil)
	enough := errors.New("enough")
	if err := r.Each(t.Context(), nil, func(Letter) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}

	// The server keeps nothing of all this.
	info, err := r.letters.Info(t.Context())
	if err != nil || info.State.Consumers != 0 {
		t.Errorf("%d consumers are left, %v", info.State.Consumers, err)
	}
}

// TestEachOverBadLink: a server that sends nothing for a while has not said that
// there are no more, nor has one whose connection broke.
func TestEachOverBadLink(t *testing.T) {
	t.Parallel()
	const letters = 6
	for name, fail := range map[string]func() error{"it stalls": stall, "it breaks": cut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, jetstream.StreamConfig{})
			for range letters {
				r.letter(t, r.event(t, nil, body), func(m *nats.Msg) { m.Data = bytes.Repeat([]byte("x"), 900<<10) })
			}
			link := newLink(t, r.srv.URL())
			nc, err := nats.Connect(link.url, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(t.Context(), Stream)
			if err != nil {
				t.Fatal(err)
			}
			link.failAfter(1<<20, fail)
			var got []uint64
			if err := New(js, stream, cluster).Each(t.Context(), nil, func(l Letter) error {
				got = append(got, l.Seq)
				return nil
			}); err != nil || !cmp.Equal(got, []uint64{1, 2, 3, 4, 5, 6}) || !link.failed.Load() {
				t.Errorf("letters %d of %d, %v", got, letters, err)
			}
		})
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	r := newRig(t, jetstream.StreamConfig{})
	if _, err := r.js.Publish(t.Context(), Subject("c2", "EVENTS", 1), nil); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(2) {
		if l, err := r.Get(t.Context(), seq+1); l != nil || err != nil {
			t.Errorf("%d: %+v, %v", seq+1, l, err)
		}
	}
}

// TestHints: there is one for each reason.
func TestHints(t *testing.T) {
	t.Parallel()
	for _, r := range outcome.DeadLetterReasons() {
		if Hint(r) == "" {
			t.Errorf("no hint for %s", r)
		}
	}
	if Hint("x") != "" {
		t.Error("a hint for what is no reason")
	}
}

// FuzzRead: whatever is stored, reading it ends in a letter or in damage, and
// what would be published of it has none of the server's headers.
func FuzzRead(f *testing.F) {
	f.Add("not_found", "EVENTS", "events.a", "1", "2026-11-20T10:00:00Z", "Nats-Rollup", "all", "EVENTS/1", []byte(body))
	f.Add("x", "", "a b", "-1", "now", "nats-ttl", "1s", "a/b/c", []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, reason, stream, on, seq, at, name, value, root string, data []byte) {
		h := nats.Header{name: {value}}
		for k, v := range map[string]string{
			HeaderReason: reason, HeaderStream: stream, HeaderSubject: on, HeaderSequence: seq, HeaderTime: at,
			OriginalPrefix + headerRoot: root, OriginalPrefix + nats.MsgIdHdr: root, OriginalPrefix + headerOf: "prestage.dlq.c1.E.1",
		} {
			h.Set(k, v)
		}
		l := read("prestage.dlq.c1.EVENTS.1", 1, time.Time{}, h, data)
		if l.Content().ID == "" && utf8.Valid(data) {
			t.Error("no id")
		}
		if _, n := l.messageID(); n < 1 {
			t.Errorf("redrive %d", n)
		}
		if l.Damage != "" {
			return
		}
		m, err := New(nil, nil, "c1").event(t.Context(), l)
		if err != nil {
			return
		}
		for name := range m.Header {
			if hasFold(name, "Nats-") {
				t.Errorf("published with %s", name)
			}
		}
		if _, _, ok := Root(m.Header); !ok && isRoot(l.Stream+"/1") {
			t.Errorf("the root is %q", m.Header.Get(headerRoot))
		}
		if !l.carries(m.Subject, m.Header, m.Data) {
			t.Error("a redriven event is not its letter's own")
		}
	})
}
