package lotasim

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case o.LOTADomain == "" || o.PrimaryDomain == "":
		return errors.New("both domains must be set")
	case o.LOTADomain == o.PrimaryDomain:
		return fmt.Errorf("the LOTA and the primary domain are both %q: they must differ", o.LOTADomain)
	case o.RangedStatus != http.StatusOK && o.RangedStatus != http.StatusPartialContent:
		return fmt.Errorf("status %d for a ranged HEAD: must be 200 or 206", o.RangedStatus)
	case o.EmptyStatus != http.StatusOK && o.EmptyStatus != http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("status %d for an empty object: must be 200 or 416", o.EmptyStatus)
	case o.GetDuringFill != ReadThrough && o.GetDuringFill != JoinFill && o.GetDuringFill != AwaitFill:
		return fmt.Errorf("GET during a fill %q: must be %q, %q or %q", o.GetDuringFill, ReadThrough, JoinFill, AwaitFill)
	case !(o.DropProbability >= 0 && o.DropProbability <= 1):
		return fmt.Errorf("drop probability %v: must be 0 to 1", o.DropProbability)
	case o.MinCacheBytes < 0:
		return fmt.Errorf("minimum of %d bytes: must not be negative", o.MinCacheBytes)
	case o.Nodes < 1 || o.NodeBytes < 1:
		return fmt.Errorf("%d nodes of %d bytes: must be at least one of each", o.Nodes, o.NodeBytes)
	case o.CacheTTL < 0 || o.UnknownBucketStall < 0 || o.NewBucketDelay < 0:
		return errors.New("a time must not be negative")
	case o.HistoryLimit < 1:
		return fmt.Errorf("history of %d requests: must be at least 1", o.HistoryLimit)
	}
	return o.Timing.check()
}

func (t Timing) check() error {
	for _, d := range []time.Duration{t.Metadata, t.BackendFirstByte, t.CacheFirstByte} {
		if d < 0 {
			return fmt.Errorf("delay %v: must not be negative", d)
		}
	}
	for _, rate := range []int64{t.BackendRate, t.CacheRate, t.FillRate} {
		if rate < 0 {
			return fmt.Errorf("rate of %d bytes per second: must not be negative", rate)
		}
	}
	return nil
}
