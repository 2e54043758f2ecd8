package lotasim

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestSeedIsChosen(t *testing.T) {
	t.Parallel()
	a := direct(t, large, func(o *Options) { o.Seed = 0 })
	defer a.Close()
	b := direct(t, large, func(o *Options) { o.Seed = 0 })
	defer b.Close()
	if a.Seed() == b.Seed() || a.Seed() == 0 {
		t.Errorf("seeds %d and %d", a.Seed(), b.Seed())
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for i, change := range []func(*Options){
		func(o *Options) { o.LOTADomain = "" },
		func(o *Options) { o.PrimaryDomain = o.LOTADomain },
		func(o *Options) { o.RangedStatus = 204 },
		func(o *Options) { o.EmptyStatus = 206 },
		func(o *Options) { o.DropProbability = 1.5 },
		func(o *Options) { o.MinCacheBytes = -1 },
		func(o *Options) { o.Nodes = 0 },
		func(o *Options) { o.NodeBytes = 0 },
		func(o *Options) { o.UnknownBucketStall = -1 },
		func(o *Options) { o.CacheTTL = -1 },
		func(o *Options) { o.GetDuringFill = "guess" },
		func(o *Options) { o.Faults = []Rule{{Do: "explode"}} },
		func(o *Options) { o.HistoryLimit = 0 },
		func(o *Options) { o.Timing.Metadata = -1 },
		func(o *Options) { o.Timing.FillRate = -1 },
	} {
		o := Fast()
		change(&o)
		if _, err := New(o, NewCatalogue(CatalogueOptions{}).Backends()); err == nil {
			t.Errorf("wrong options %d were taken", i)
		}
	}
	if _, err := New(Fast(), Backends{}); err == nil {
		t.Error("no backends were taken")
	}
}

// Many clients at once: one HEAD per object version is one fill per version.
func TestConcurrentHeads(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *Options) { o.Timing.FillRate = 1_000_000_000 })
	if err := b.cat.AddRange("ckpt", "k%02d", 50, large); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	for i := range 200 {
		go func() {
			in := &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("k" + string(rune('0'+i/10%5)) + string(rune('0'+i%10))), Range: aws.String(warmingRange)}
			_, err := b.lota.HeadObject(context.WithoutCancel(t.Context()), in)
			failed <- err
		}()
	}
	for range 200 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	waitFor(t, func() bool { return b.sim.Counters().CachedObjects == 50 })
	if n := b.sim.Counters(); n.FillsStarted != 50 || n.Hits+n.InProgress != 150 {
		t.Errorf("counters = %+v, want 50 fills and 150 that found one", n)
	}
}
