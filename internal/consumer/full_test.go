package consumer

import (
	"testing"
	"time"
)

// TestFullQueue: a few come back after seconds, many one after the other, and none
// later than after a minute.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	var q fullQueue
	now := time.Now()
	for n := range 20_000 {
		got := q.pause(now)
		want := min(fullPause+time.Duration(n)*fullEvery, maxFullPause)
		if got != want {
			t.Fatalf("of many number %d waits %s, want %s", n, got, want)
		}
	}
	// While they come back, 100 a second, they queue up again behind the others.
	for n := range 1000 {
		if got := q.pause(now.Add(time.Duration(n) * 2 * fullEvery)); got > maxFullPause || got < maxFullPause-20*time.Second {
			t.Fatalf("number %d waits %s", n, got)
		}
	}
	if got := q.pause(now.Add(time.Hour)); got != fullPause {
		t.Errorf("later one waits %s", got)
	}
}
