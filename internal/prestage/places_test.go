package prestage

import (
	"testing"

	"github.com/prestage/prestage/internal/object"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	p := make(places)
	p.add(ckpt("deep/"), false)
	p.add(ckpt("a/flat/"), true)
	p.add(ckpt("x/latest"), false)
	for key, want := range map[string]bool{
		"deep/a": true, "deep/a/b": true, "deep//": true, "deep": false, "deeper/a": false, "in/deep/a": false,
		"a/flat/b": true, "a/flat/b/c": false, "a/flat/b/": false, "a/b": false,
		"x/latest": true, "x/latest_1": false, "x/": false, "/": false,
	} {
		if got := p.has(ckpt(key)); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
	if p.has(object.Ref{Bucket: "models-x", Key: "deep/a"}) {
		t.Error("in another bucket")
	}
}
