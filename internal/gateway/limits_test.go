package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A source that has used up its share leaves the others theirs.
func TestSources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSources()
		use := func(remote string) (n int) {
			for s.allow(remote) {
				n++
			}
			return n
		}
		for _, tt := range []struct {
			remote string
			want   int
		}{
			{"192.0.2.1:1000", sourceBurst},
			{"192.0.2.1:2000", 0}, // another port of it
			{"[::ffff:192.0.2.1]:1", 0},
			{"192.0.2.2:1000", sourceBurst},
			{"[2001:db8::1]:1", sourceBurst},
			{"[2001:db8::2]:1", 0}, // of the same network
			{"[2001:db8:0:1::1]:1", sourceBurst},
			{"@", sourceBurst}, // no address at all
			{"pipe", 0},
		} {
			if got := use(tt.remote); got != tt.want {
				t.Errorf("%s: %d requests, want %d", tt.remote, got, tt.want)
			}
		}
		time.Sleep(time.Second)
		if got := use("192.0.2.1:3000"); got != sourceRate {
			t.Errorf("%d requests after a second, want %d", got, sourceRate)
		}
	})
}

func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSources()
		for i := range 3 * maxSources {
			s.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255))
		}
		if len(s.known) != maxSources {
			t.Errorf("%d sources are known, want %d", len(s.known), maxSources)
		}
		time.Sleep(10 * time.Second) // long enough for their limits to be whole again
		s.allow("192.0.2.1:1")
		if len(s.known) != 1 {
			t.Errorf("%d sources are known, want the latest", len(s.known))
		}
	})
}

func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := route{slots: make(chan struct{}, 1)}
		if !r.enter(t.Context()) {
			t.Fatal("no slot at the beginning")
		}
		begun := time.Now()
		if r.enter(t.Context()) || time.Since(begun) != slotWait {
			t.Errorf("a second one, or after %s", time.Since(begun))
		}
		time.AfterFunc(slotWait/2, r.leave)
		if !r.enter(t.Context()) {
			t.Error("none after one was given back")
		}
	})
}
