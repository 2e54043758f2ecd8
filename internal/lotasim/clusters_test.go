package lotasim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two clusters share the objects, not the cache.
func TestTwoClusters(t *testing.T) {
	t.Parallel()
	a := setup(t, nil)
	sim, err := New(Fast(), a.cat.Backends())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	server, err := Listen(t.Context(), sim, Addrs{Primary: NoListener})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	b := &bundle{cat: a.cat, sim: sim, server: server, lota: client(t, "http://cwlota.com", server.LOTAAddr(), testSecret)}
	if server.PrimaryAddr() != NoListener {
		t.Errorf("a primary listener on %s", server.PrimaryAddr())
	}
	cached := func() []bool { return []bool{a.sim.Truth("ckpt", "k").Cached, b.sim.Truth("ckpt", "k").Cached} }

	a.cat.Put("ckpt", "k", large)
	first := *a.warm(t, "k").ETag
	if diff := cmp.Diff([]bool{true, false}, cached()); diff != "" {
		t.Errorf("warming A (-want +got):\n%s", diff)
	}
	if second := b.warm(t, "k"); *second.ETag != first {
		t.Errorf("B has another object: %s, %s", *second.ETag, first)
	}
	if diff := cmp.Diff([]bool{true, true}, cached()); diff != "" {
		t.Errorf("warming both (-want +got):\n%s", diff)
	}
	// An overwrite concerns both; warming B again doesn't help A.
	renewed := a.cat.Put("ckpt", "k", large)
	b.warm(t, "k")
	if a.sim.Truth("ckpt", "k").ETag == renewed || b.sim.Truth("ckpt", "k").ETag != renewed {
		t.Errorf("after an overwrite: A %+v, B %+v", a.sim.Truth("ckpt", "k"), b.sim.Truth("ckpt", "k"))
	}
	get(t, a.lota, "ckpt", "k", "bytes=0-9")
	if h := a.ended(t, 2); h[1].Filled != FillStarted {
		t.Errorf("A's reading after an overwrite: %q, want %q", h[1].Filled, FillStarted)
	}
}
