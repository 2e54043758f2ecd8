package integration_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// TestFailsAlone: LOTA answers 500 to whatever is asked for one object. While it
// does for all others too, that is no attempt of anybody's; when it serves them
// again, it is the object's own failure, and ends.
func TestFailsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("a.ckpt", "b.ckpt", "bad.ckpt")
	w.run(t, "PRESTAGE_MAX_ATTEMPTS=1")
	w.ends(t, w.object(t, "a", "a.ckpt"), "warm")

	fails := func(key string) int {
		rule, err := w.lota.AddRule(lotasim.Rule{Match: lotasim.Match{Key: key}, Do: lotasim.AnswerStatus, Status: http.StatusInternalServerError})
		if err != nil {
			t.Fatal(err)
		}
		return rule
	}
	fails("bad.ckpt")
	all := fails("")
	bad, healthy := w.object(t, "bad", "bad.ckpt"), w.object(t, "b", "b.ckpt")
	for _, s := range []sent{bad, healthy} {
		if r := w.until(t, s, "decided upon", func(r receipt) bool { return r.Outcome != "" }); r.Outcome != "pending" || r.Attempts != 0 {
			t.Errorf("while all fail it is %s after %d attempts", r.Outcome, r.Attempts)
		}
	}
	w.lota.RemoveRule(all)
	w.ends(t, healthy, "warm")
	if r := w.ends(t, bad, "dead_lettered"); r.Reason != "fill_failed" || r.Attempts != 1 {
		t.Errorf("%s after %d attempts", r.Reason, r.Attempts)
	}
	w.letter(t, bad)
}

// TestFillTimeout: the time that a fill may take is that of all its tries.
func TestFillTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("slow.ckpt")
	hold, err := w.lota.Hold(lotasim.Match{Key: "slow.ckpt", Ranged: true})
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	w.run(t, "PRESTAGE_MAX_ATTEMPTS=2", "PRESTAGE_FILL_TIMEOUT=1s")
	begun := time.Now()
	s := w.object(t, "slow", "slow.ckpt")
	if r := w.ends(t, s, "dead_lettered"); r.Reason != "fill_failed" || r.Attempts != 2 {
		t.Errorf("%s after %d attempts", r.Reason, r.Attempts)
	}
	t.Logf("two attempts took %s", time.Since(begun))
	if n := w.lota.Count(lotasim.Filter{Method: "HEAD", Range: "bytes=0-0"}); n != 2 {
		t.Errorf("%d ranged HEADs, want one for each attempt, which is all that there is time for", n)
	}
}
