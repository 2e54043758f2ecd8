package lotasim

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// A client that does no more than try again gets through a bad day, and meets all
// of it.
func TestHostile(t *testing.T) {
	t.Parallel()
	const objects, clients = 1000, 30
	b := setup(t, func(o *Options) {
		*o = o.Hostile()
		o.Timing.BackendFirstByte = 1 // so that fills are no part of their HEADs
	})
	if err := b.cat.AddRange("ckpt", "k%04d", objects, large); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, clients)
	for c := range clients {
		go func() {
			var err error
			for i := c; i < objects && err == nil; i += clients {
				err = stubborn(t.Context(), b.lota, fmt.Sprintf("k%04d", i))
			}
			failed <- err
		}()
	}
	for range clients {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	b.sim.fills.Wait()

	var kinds []string
	for _, r := range b.sim.Rules() {
		kinds = append(kinds, strings.TrimSpace(fmt.Sprint(r.Do, " ", r.Status, " ", r.RetryAfter)))
	}
	want := []string{
		"latency 0", "slow_headers 0", "reset 0", "status 503", "status 503 1", "status 429", "status 429 1",
		"status 500", "status 502", "status 504",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	requests := 0
	for _, r := range b.sim.History(Filter{}) {
		requests++
		if r.Status == http.StatusPartialContent {
			t.Fatalf("a ranged HEAD was answered 206: %+v", r)
		}
	}
	for _, r := range b.sim.Rules() {
		share := float64(r.Applied) / float64(requests)
		if share < r.Probability/3 || share > r.Probability*3 {
			t.Errorf("rule %q %d applied to %d of %d requests, want about %v", r.Do, r.Status, r.Applied, requests, r.Probability)
		}
	}
	if extra := requests - objects; extra < objects/12 || extra > objects/5 {
		t.Errorf("%d tries more than objects, want about an eighth of %d", extra, objects)
	}
	n := b.sim.Counters()
	if dropped := n.CacheErrors; dropped < objects/40 || dropped > objects/10 {
		t.Errorf("%d fills of %d never happened, want about 5 %%", dropped, objects)
	}
	if room := int64(2 * (256 << 20) / large); n.CachedObjects != room || n.Evicted != n.FillsDone-room {
		t.Errorf("%d objects cached, %d evicted of %d fills; want room for %d", n.CachedObjects, n.Evicted, n.FillsDone, room)
	}
}

// stubborn tries to warm an object ten times.
func stubborn(ctx context.Context, c *s3.Client, key string) (err error) {
	for range 10 {
		_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String(key), Range: aws.String(warmingRange)})
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("ten tries of %s: %w", key, err)
}

// Hostile adds to what was set, and leaves the rest and the original alone.
func TestHostileAdds(t *testing.T) {
	t.Parallel()
	o := Fast()
	o.Nodes, o.NodeBytes, o.DropProbability, o.Synchronous = 1, 1000, 0.5, true
	o.Faults = make([]Rule, 1, 100)
	o.Faults[0] = Rule{Do: Reset, Count: 1}
	h := o.Hostile()
	if h.Nodes != 1 || h.NodeBytes != 1000 || h.DropProbability != 0.5 || !h.Synchronous || h.Faults[0].Count != 1 {
		t.Errorf("hostile changed what was worse, or no matter: %+v", h)
	}
	if len(o.Faults) != 1 || o.Faults[:2][1].Do != "" || o.RangedStatus != http.StatusPartialContent {
		t.Errorf("the original is changed: %+v", o)
	}
	if n := len(Fast().Faults); n != 0 {
		t.Errorf("%d rules without Hostile", n)
	}
}
