package integration_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// storiesAtOnce is how many sides are tried at a time: most of what a story
// does is wait for its attempts.
const storiesAtOnce = 8

// side is one setting of the emulator's switches.
type side struct {
	name     string
	lota     func(*lotasim.Options)
	store    func(*lotasim.CatalogueOptions)
	settings []string // of the program
	ends     func(event string, usual end) end
	cold     string // key of an object that need not be cached when its event is warm; "*": none need be
	attempts int    // that a warm event may take; 0: one
}

// options are those of the store and the emulator.
func (s side) options() (lotasim.CatalogueOptions, lotasim.Options) {
	stores := lotasim.CatalogueOptions{
		Region:      region,
		Credentials: []lotasim.Credential{{AccessKeyID: accessKey, SecretAccessKey: secretKey}},
	}
	o := lotasim.Fast()
	// Else each story would wait ten seconds for one event.
	o.UnknownBucketAnswers = true
	o.NodeBytes = 1 << 50
	o.Seed = 1
	if s.store != nil {
		s.store(&stores)
	}
	if s.lota != nil {
		s.lota(&o)
	}
	return stores, o
}

// faults adds rules for HEADs of LOTA.
func faults(rules ...lotasim.Rule) func(*lotasim.Options) {
	return func(o *lotasim.Options) {
		for _, r := range rules {
			r.Method = http.MethodHead
			o.Faults = append(o.Faults, r)
		}
	}
}

// status is a rule that refuses one HEAD of four.
func status(code int, retryAfter string) func(*lotasim.Options) {
	return faults(lotasim.Rule{Do: lotasim.AnswerStatus, Status: code, RetryAfter: retryAfter, Probability: 0.25})
}

// refused makes every event end so that needs an answer of the store.
func refused(how end, others ...string) func(string, end) end {
	return func(event string, usual end) end {
		if usual == malformed || usual == notAllowed || usual == skippedSmall || slices.Contains(others, event) {
			return usual
		}
		return how
	}
}

// only makes the events named end so.
func only(how end, events ...string) func(string, end) end {
	return func(event string, usual end) end {
		if slices.Contains(events, event) {
			return how
		}
		return usual
	}
}

// giveUp makes refusals final soon.
var giveUp = []string{"PRESTAGE_GIVE_UP_AFTER=2s"}

// sides are all settings under which the story is told. The first is LOTA as it
// is documented; each other one differs from it in one thing.
var sides = []side{
	{name: "as documented"},

	{
		name: "another domain", lota: func(o *lotasim.Options) { o.LOTADomain = "lota.example" },
		settings: []string{"LOTA_ENDPOINT=http://lota.example", "LOTA_TRUST_ENDPOINT=true"},
	},
	{name: "another primary domain", lota: func(o *lotasim.Options) { o.PrimaryDomain = "store.example" }},
	{name: "200 for a ranged HEAD", lota: func(o *lotasim.Options) { o.RangedStatus = http.StatusOK }},
	{name: "200 for an empty object", lota: func(o *lotasim.Options) { o.EmptyStatus = http.StatusOK }},
	{name: "synchronous fills", lota: synchronous},
	{name: "synchronous fills that take time", lota: func(o *lotasim.Options) {
		o.Synchronous, o.Timing = true, lotasim.Defaults().Timing
	}},
	{name: "a model of time", lota: func(o *lotasim.Options) { o.Timing = lotasim.Defaults().Timing }},
	{name: "every HEAD fills anew", lota: func(o *lotasim.Options) { o.Refill = true }},
	{name: "any range fills", lota: func(o *lotasim.Options) { o.AnyRangeFills = true }},
	{name: "a plain HEAD fills", lota: func(o *lotasim.Options) { o.PlainHeadFills = true }},
	{name: "writing fills", lota: func(o *lotasim.Options) { o.FillOnPut = true }},
	{name: "versions bypass", lota: func(o *lotasim.Options) { o.VersionsBypass = true }},
	{name: "Cache-Control is honoured", lota: func(o *lotasim.Options) { o.HonourCacheControl = true }},
	{name: "the archive is not cached", lota: func(o *lotasim.Options) { o.SkipArchive = true }, cold: "archived.ckpt"},
	{name: "a GET joins the fill", lota: slowly(lotasim.JoinFill)},
	{name: "a GET awaits the fill", lota: slowly(lotasim.AwaitFill)},
	{name: "a GET reads beside the fill", lota: slowly(lotasim.ReadThrough)},

	{name: "half of the fills never happen", lota: func(o *lotasim.Options) { o.DropProbability = 0.5 }, cold: "*"},
	{name: "all sizes are cached", lota: func(o *lotasim.Options) { o.MinCacheBytes = 0 }},
	{name: "no size is cached", lota: func(o *lotasim.Options) { o.MinCacheBytes = 2 * large }, cold: "*"},
	{name: "one node", lota: func(o *lotasim.Options) { o.Nodes = 1 }},
	{name: "a full cache evicts", lota: func(o *lotasim.Options) { o.NodeBytes = 2 * large }, cold: "*"},
	{name: "a full cache refuses", lota: func(o *lotasim.Options) { o.NodeBytes, o.FullCacheRefuses = 2*large, true }, cold: "*"},
	{name: "objects leave the cache", lota: func(o *lotasim.Options) { o.CacheTTL = 500 * time.Millisecond }, cold: "*"},
	{name: "a lost node is filled again", lota: func(o *lotasim.Options) { o.RefillLost = true }},

	{
		name: "an unknown bucket stalls", lota: func(o *lotasim.Options) { o.UnknownBucketAnswers = false },
		settings: giveUp, ends: only(badRequest, "unknown bucket"),
	},
	{
		name: "an unknown bucket stalls for ever", lota: func(o *lotasim.Options) { o.UnknownBucketAnswers, o.UnknownBucketStall = false, 0 },
		settings: giveUp, ends: only(badRequest, "unknown bucket"),
	},
	{
		name: "a new bucket takes a while", lota: func(o *lotasim.Options) { o.NewBucketDelay = 500 * time.Millisecond },
		settings: giveUp,
	},
	{
		name: "a new bucket says nothing", lota: func(o *lotasim.Options) { o.NewBucketDelay, o.NewBucketBare = 500*time.Millisecond, true },
		settings: giveUp,
	},
	{
		name: "a new bucket never comes", lota: func(o *lotasim.Options) { o.NewBucketDelay = time.Hour },
		settings: giveUp, ends: only(badRequest, "new bucket"),
	},

	{name: "429", lota: status(http.StatusTooManyRequests, "")},
	{name: "429 with Retry-After", lota: status(http.StatusTooManyRequests, "1")},
	{name: "503", lota: status(http.StatusServiceUnavailable, "")},
	{name: "503 with Retry-After", lota: status(http.StatusServiceUnavailable, "1")},
	{name: "500", lota: status(http.StatusInternalServerError, ""), attempts: 2},
	{name: "502", lota: status(http.StatusBadGateway, ""), attempts: 2},
	{name: "504", lota: status(http.StatusGatewayTimeout, ""), attempts: 2},
	{
		name: "403 at first", lota: faults(lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.AnswerStatus, Status: http.StatusForbidden, Count: 3}),
		settings: giveUp,
	},
	{
		name: "404 at first", lota: faults(lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.AnswerStatus, Status: http.StatusNotFound, Count: 3}),
		attempts: 2,
	},
	{name: "cut connections", lota: faults(lotasim.Rule{Do: lotasim.Reset, Probability: 0.2}), attempts: 2},
	{
		name: "stalls", lota: faults(lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Stall, Count: 3}),
		settings: []string{"PRESTAGE_FILL_TIMEOUT=5s"}, attempts: 2, // a fill that has taken all of its time is a failed attempt
	},
	{name: "latency", lota: faults(lotasim.Rule{Do: lotasim.Latency, For: 100 * time.Millisecond})},
	{name: "slow headers", lota: faults(lotasim.Rule{Do: lotasim.SlowHeaders, For: 200 * time.Millisecond})},
	{name: "fills that a rule drops", lota: faults(lotasim.Rule{Do: lotasim.DropFill, Probability: 0.5}), cold: "*"},
	{name: "a bad day", lota: func(o *lotasim.Options) { *o = o.Hostile() }, cold: "*", attempts: 2},

	{name: "another region", store: func(c *lotasim.CatalogueOptions) { c.Region = "US-WEST-01A" }},
	{name: "a strict region", store: func(c *lotasim.CatalogueOptions) { c.StrictRegion = true }},
	{
		name: "another strict region", store: func(c *lotasim.CatalogueOptions) { c.Region, c.StrictRegion = "US-WEST-01A", true },
		settings: giveUp, ends: refused(badRequest),
	},
	{name: "a clock ahead of ours", store: func(c *lotasim.CatalogueOptions) {
		c.Now = func() time.Time { return time.Now().Add(5 * time.Minute) }
	}},
	{
		name: "an unknown key", store: func(c *lotasim.CatalogueOptions) { c.Credentials[0].AccessKeyID = "AKIANOBODY" },
		settings: giveUp, ends: refused(forbidden),
	},
	{
		name: "a wrong secret", store: func(c *lotasim.CatalogueOptions) { c.Credentials[0].SecretAccessKey = "another" },
		settings: giveUp, ends: refused(forbidden),
	},
	{name: "a wrong secret is 400", store: func(c *lotasim.CatalogueOptions) {
		c.Credentials[0].SecretAccessKey, c.BadSignatureAs400 = "another", true
	}, settings: giveUp, ends: refused(badRequest)},
	{
		name: "403 in a bucket", store: func(c *lotasim.CatalogueOptions) { c.Credentials[0].Buckets = []string{bucket, "fresh", "versions"} },
		settings: giveUp, ends: only(forbidden, "model"),
	},
	{
		name: "403 for objects", store: func(c *lotasim.CatalogueOptions) { c.Credentials[0].DenyGet = true },
		settings: giveUp, ends: refused(forbidden, "unknown bucket"),
	},
	{
		name: "403 for lists and what is missing", store: func(c *lotasim.CatalogueOptions) { c.Credentials[0].DenyList = true },
		settings: []string{"PRESTAGE_GIVE_UP_AFTER=6s"}, ends: only(forbidden, "prefix", "missing"),
	},
}

// slowly lets a GET meet the fill of what it reads.
func slowly(get lotasim.GetDuringFill) func(*lotasim.Options) {
	return func(o *lotasim.Options) {
		o.GetDuringFill = get
		o.Timing.FillRate, o.Timing.CacheRate = large, large
	}
}

// TestMatrix tells the story under each setting of the switches.
func TestMatrix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this runs the whole program")
	}
	begun := time.Now()
	slots := make(chan struct{}, storiesAtOnce)
	var told sync.WaitGroup
	for _, s := range sides {
		slots <- struct{}{}
		told.Go(func() {
			defer func() { <-slots }()
			t.Run(s.name, s.tell)
		})
	}
	told.Wait()
	t.Logf("%d settings of %d switches took %s", len(sides), len(tried(t)), time.Since(begun).Round(time.Millisecond))
}

// untried are the switches that no client can notice.
var untried = []string{"Options.Seed", "Options.HistoryLimit", "Options.Logger"}

// TestMatrixIsComplete wants each switch of the emulator to be tried on all of
// its sides, on two of what has more than a test can try.
func TestMatrixIsComplete(t *testing.T) {
	t.Parallel()
	for name, values := range tried(t) {
		want := 2
		if name == "Options.GetDuringFill" {
			want = 3
		}
		switch is := slices.Contains(untried, name); {
		case is && len(values) > 1:
			t.Errorf("%s is said to be untried, but is %v", name, values)
		case !is && len(values) < want:
			t.Errorf("%s is tried as %v only: add a row to sides", name, values)
		}
	}
}

// tried lists all switches with the values that they have in sides.
func tried(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	note := func(name, value string) {
		if !slices.Contains(all[name], value) {
			all[name] = append(all[name], value)
		}
	}
	for _, s := range sides {
		stores, o := s.options()
		values("Options", reflect.ValueOf(o), note)
		values("CatalogueOptions", reflect.ValueOf(stores), note)
	}
	for _, name := range untried {
		if all[name] == nil {
			t.Errorf("there is no switch %s", name)
		}
	}
	return all
}

// values tells the fields of a struct, and of what it holds. Fields of the
// emulator's types are its switches.
func values(name string, v reflect.Value, note func(name, value string)) {
	switch {
	case v.Kind() == reflect.Func, v.Kind() == reflect.Pointer:
		note(name, fmt.Sprintf("set: %t", !v.IsNil()))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			values(name+"."+v.Type().Field(i).Name, v.Field(i), note)
		}
	case v.Type() == reflect.TypeFor[[]lotasim.Credential]():
		values(strings.TrimSuffix(name, "s"), v.Index(0), note)
	default:
		note(name, fmt.Sprint(v))
	}
}
