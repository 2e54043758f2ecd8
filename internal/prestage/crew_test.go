package prestage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/prestage/prestage/internal/outcome"
)

func TestCrewSharesTheLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		limit  int
		active int64
		want   int
	}{
		"alone":         {300, 1, 300},
		"two":           {300, 2, 300},
		"three":         {300, 3, 200},
		"a full house":  {300, 128, minCrew},
		"little to do":  {4, 1, 4},
		"less than one": {4, 100, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &Warmer{guard: &Guard{limiter: NewLimiter(tt.limit)}}
			w.active[Routine].Store(tt.active)
			c := newCrew(w, Routine)
			n := 0
			for c.tryJoin() {
				n++
			}
			if n != tt.want {
				t.Errorf("%d joined, want %d", n, tt.want)
			}
		})
	}
}

func TestCrewWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &Warmer{guard: &Guard{limiter: NewLimiter(1)}}
		c := newCrew(w, Routine)
		if err := c.join(t.Context()); err != nil {
			t.Fatal(err)
		}
		joined := make(chan error, 1)
		go func() { joined <- c.join(t.Context()) }()
		synctest.Wait()
		select {
		case <-joined:
			t.Fatal("a second one joined a crew of one")
		default:
		}
		c.leave()
		if err := <-joined; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { joined <- c.join(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-joined; !errors.Is(err, outcome.Interrupted) {
			t.Errorf("got %v, want Interrupted", err)
		}
	})
}
