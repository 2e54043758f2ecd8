package prestage

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// TestAdvice: of an object that is missing for good it is told when only a slash
// is, at the price of one list, and nothing else is done about it.
func TestAdvice(t *testing.T) {
	t.Parallel()
	const hint = "did you mean s3://ckpt/dir/?"
	for name, tt := range map[string]struct {
		key      string
		class    outcome.Class
		below    bool
		last     bool
		gone     bool
		requests []string
		hinted   bool
	}{
		"a prefix":                {key: "dir", class: outcome.Failed, below: true, last: true, requests: []string{"fill dir", "any dir/"}, hinted: true},
		"nothing":                 {key: "dir", class: outcome.Failed, last: true, requests: []string{"fill dir", "any dir/"}},
		"an attempt follows":      {key: "dir", class: outcome.Failed, below: true, requests: []string{"fill dir"}},
		"refused, not missing":    {key: "dir", class: outcome.Refused, below: true, last: true, requests: []string{"fill dir"}},
		"gone, which is no error": {key: "dir", class: outcome.Failed, below: true, last: true, gone: true, requests: []string{"fill dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &fakeStore{fill: fails(tt.class), below: func(object.Ref) (bool, error) { return tt.below, nil }}
			r := newRig(t, store)
			got := r.warm(t, Request{Objects: unsized(tt.key), Last: tt.last, MissingIsGone: tt.gone})
			if diff := cmp.Diff(tt.requests, store.requests()); diff != "" {
				t.Error(diff)
			}
			text := fmt.Sprint(got.Failures)
			if len(got.Problems) > 0 {
				text += got.Problems[0].Sample.Error()
			}
			if n := strings.Count(text, hint); n != map[bool]int{true: 2}[tt.hinted] {
				t.Errorf("hinted %d times: %s", n, text)
			}
		})
	}
}

// TestAdviceIsBounded: many that are missing cost few lists, and a list that fails
// changes nothing.
func TestAdviceIsBounded(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 3 * maxAdvice {
		keys = append(keys, fmt.Sprint(i))
	}
	store := &fakeStore{fill: fails(outcome.Failed), below: func(prefix object.Ref) (bool, error) {
		return true, failure(outcome.Refused, prefix)
	}}
	r := newRig(t, store)
	got := r.warm(t, Request{Objects: unsized(keys...), Last: true})
	if got.Objects.Failed != len(keys) || len(got.Problems) != 1 || got.Problems[0].Reason != outcome.NotFound {
		t.Errorf("%+v", got)
	}
	if n := store.count("any"); n != maxAdvice {
		t.Errorf("%d lists", n)
	}
}

// TestAny asks for one key.
func TestAny(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		"<Name>ckpt</Name><Contents><Key>p/a</Key></Contents>": true,
		"<Name>ckpt</Name><KeyCount>0</KeyCount>":              false,
	} {
		s := newWire(t, func(w http.ResponseWriter, r *http.Request) {
			if q := r.URL.Query(); q.Get("prefix") != "p/" || q.Get("max-keys") != "1" {
				t.Errorf("asked for %s", r.RequestURI)
			}
			_, _ = fmt.Fprintf(w, "<ListBucketResult>%s</ListBucketResult>", body)
		})
		if got, err := s.Any(t.Context(), ckpt("p/")); got != want || err != nil {
			t.Errorf("%s: %t, %v", body, got, err)
		}
	}
}
