package prestage

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// TestProbeIsSignedAndConditional has a store verify it.
func TestProbeIsSignedAndConditional(t *testing.T) {
	t.Parallel()
	s, sim, store := newStrictWire(t)
	const key = "a/../b c+%2F"
	etag := store.Put("ckpt", key, 5_000_000)
	ref := object.Ref{Bucket: "ckpt", Key: key}
	if took, err := s.Probe(t.Context(), ref, etag, 4_999_936, 64); err != nil || took <= 0 {
		t.Errorf("the last bytes: %s, %v", took, err)
	}
	if !sim.Truth("ckpt", key).Cached {
		t.Error("a miss brought nothing: the read did not go through LOTA")
	}
	for want, err := range map[int]error{
		http.StatusPreconditionFailed: second(s.Probe(t.Context(), ref, "another", 0, 64)),
		http.StatusNotFound:           second(s.Probe(t.Context(), ckpt("none"), etag, 0, 64)),
	} {
		if got := outcome.As(err); got.Status != want {
			t.Errorf("%v, want status %d", err, want)
		}
	}
}

// TestTimeHead: it fills nothing, and an answer that is none has no time.
func TestTimeHead(t *testing.T) {
	t.Parallel()
	s, sim, store := newStrictWire(t)
	store.Put("ckpt", "k", 5_000_000)
	if took, err := s.TimeHead(t.Context(), ckpt("k")); err != nil || took <= 0 || sim.Truth("ckpt", "k").Cached {
		t.Errorf("%s, %v, cached: %v", took, err, sim.Truth("ckpt", "k").Cached)
	}
	if err := second(s.TimeHead(t.Context(), ckpt("none"))); outcome.As(err).Status != http.StatusNotFound {
		t.Errorf("%v, want status 404", err)
	}
}

func second(_ time.Duration, err error) error { return err }

// TestProbeRefusesOtherAnswers: all of the object, another place, a server that
// is busy; and it reads no more than it asked for.
func TestProbeRefusesOtherAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		want   outcome.Class
	}{
		"all of it": {func(w http.ResponseWriter) { _, _ = io.Copy(w, io.LimitReader(zeros{}, 1<<40)) }, outcome.Transient},
		"another place": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 0-63/5000000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, strings.Repeat("x", 64))
		}, outcome.Transient},
		"busy": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, outcome.Throttled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWire(t, func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) })
			if _, err := s.Probe(t.Context(), ckpt("k"), "e", 64, 64); err == nil || outcome.As(err).Class != tt.want {
				t.Errorf("%v, want class %v", err, tt.want)
			}
		})
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
