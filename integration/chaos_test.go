package integration_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
)

var (
	chaosSeed  = flag.Uint64("chaos.seed", 0, "seed of TestChaos; 0: one of its own")
	chaosSeeds = flag.Int("chaos.seeds", 0, "run the long form with so many seeds, from chaos.seed on")
	chaosTable = flag.String("chaos.table", "", "document that the long form's table goes into")
)

// chaosForm is how much of everything one run has.
type chaosForm struct {
	events, faults int
	replicas       int
	span           time.Duration // in which both begin
	build          *build
}

// TestChaos lets producers, replicas and faults loose on each other and then
// compares what the program says with what NATS and the emulator know. What is
// drawn follows from the seed: -chaos.seed repeats it, as far as time allows.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: this runs the whole program")
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64N(1_000_000) + 1
	}
	if *chaosSeeds == 0 {
		t.Parallel()
		runChaos(t, seed, chaosForm{events: 120, faults: 14, replicas: 2, span: 14 * time.Second, build: raceBuild})
		return
	}
	rows := make([]chaosRow, *chaosSeeds)
	t.Run("seeds", func(t *testing.T) {
		for i := range rows {
			seed := seed + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel() // as many at once as -parallel says
				form := chaosForm{events: 2000, faults: 64, replicas: 2 + int(seed%3), span: 80 * time.Second, build: raceBuild}
				rows[i] = runChaos(t, seed, form)
			})
		}
	})
	if *chaosTable != "" && !t.Failed() {
		if err := writeChaosTable(*chaosTable, rows); err != nil {
			t.Fatal(err)
		}
	}
}

// chaos is one run.
type chaos struct {
	*world
	t        *testing.T
	form     chaosForm
	broker   *natsProcess
	restarts sync.Mutex // one fault at a time concerns the server
	nodes    int        // of the cache
	replicas []*replica
	plan     []*chaosEvent
	faults   []*fault
	acks     ackLog
	ledger   recordLog
	finals   finalLog
	versions versionLog
	late     sync.WaitGroup
}

// replica is one instance of the program, with a proxy of its own on both sides.
type replica struct {
	nats, lota *proxy
	environ    []string
	busy       sync.Mutex // one fault at a time concerns the process

	mu sync.Mutex
	p  *program
}

func runChaos(t *testing.T, seed uint64, form chaosForm) chaosRow {
	t.Helper()
	t.Logf("go test ./integration -run TestChaos -chaos.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	began := time.Now()
	c := newChaos(t, form, random)
	c.plan = planEvents(random, form)
	c.faults = planFaults(random, form)

	var work sync.WaitGroup
	work.Go(c.produce)
	work.Go(c.fail)
	work.Wait()
	c.late.Wait()
	for i, r := range c.replicas { // one that a fault found just then
		if r.process() == nil {
			t.Errorf("replica %d is gone", i)
		}
	}
	c.settleAll()
	row := c.check()
	row.seed, row.took, row.replicas = seed, time.Since(began), len(c.replicas)
	t.Log(row)
	return row
}

func newChaos(t *testing.T, form chaosForm, random *rand.Rand) *chaos {
	t.Helper()
	who := lotasim.Credential{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	store := lotasim.NewCatalogue(lotasim.CatalogueOptions{Region: region, Credentials: []lotasim.Credential{who}})
	store.CreateBucket(bucket)
	c := &chaos{t: t, form: form, broker: startNATS(t), world: &world{store: store}}
	c.lota = newLOTA(t, store.Backends(), func(o *lotasim.Options) {
		o.Seed = random.Uint64()
		o.RangedStatus = []int{200, 206}[random.IntN(2)]
		o.EmptyStatus = []int{200, 416}[random.IntN(2)]
		o.Synchronous = random.IntN(2) == 0
		o.Refill = random.IntN(4) == 0
		o.FullCacheRefuses = random.IntN(2) == 0
		o.GetDuringFill = []lotasim.GetDuringFill{lotasim.ReadThrough, lotasim.JoinFill, lotasim.AwaitFill}[random.IntN(3)]
		o.DropProbability = []float64{0, 0.05}[random.IntN(2)]
		one := func(in int) bool { return random.IntN(in) == 0 }
		o.AnyRangeFills, o.PlainHeadFills, o.FillOnPut = one(4), one(4), one(4)
		o.VersionsBypass, o.HonourCacheControl, o.RefillLost = one(2), one(2), one(2)
		o.MinCacheBytes = []int64{0, small, 2 * large}[random.IntN(3)]
		c.nodes = 1 + random.IntN(3)
		o.Nodes = c.nodes
		o.CacheTTL = []time.Duration{0, 10 * time.Second}[random.IntN(2)]
		if one(2) {
			o.Timing = lotasim.Defaults().Timing
		}
		o.HistoryLimit = 1 << 20
	})
	// Fills take long enough for an early ack to be seen as one.
	c.rule(lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.Latency, For: 60 * time.Millisecond})

	nc, err := nats.Connect(c.broker.url(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if c.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	c.acks.listen(t, nc)
	for range form.replicas {
		r := &replica{nats: newProxy(t, c.broker.addr), lota: newProxy(t, c.lota.server.LOTAAddr())}
		r.environ = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
			"NATS_URL=nats://" + r.nats.addr,
			"LOTA_ENDPOINT=http://cwlota.com", "LOTA_DIAL=" + r.lota.addr,
			"AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
			"AWS_EC2_METADATA_DISABLED=true",
			"PRESTAGE_HTTP_ADDR=127.0.0.1:0", "PRESTAGE_BUCKETS=" + bucket,
			"PRESTAGE_ACK_WAIT=5s", "PRESTAGE_MAX_ATTEMPTS=3", "PRESTAGE_DRAIN_TIMEOUT=1s",
			"PRESTAGE_FILL_TIMEOUT=5s", "PRESTAGE_CONCURRENCY=32",
		}
		r.start(c)
		c.replicas = append(c.replicas, r)
	}
	for _, r := range c.replicas {
		r.process().ready(t)
	}
	c.ledger.watch(t, c.js)
	c.finals.watch(t, c.js)
	return c
}

func (r *replica) start(c *chaos) {
	p := launch(c.t, c.form.build, r.environ)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p = p
}

// process is the running program, nil when it has ended.
func (r *replica) process() *program {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.p.exited:
		return nil
	default:
		return r.p
	}
}

// rule adds a fault rule to the emulator and returns what removes it.
func (c *chaos) rule(r lotasim.Rule) (remove func()) {
	id, err := c.lota.AddRule(r)
	if err != nil {
		c.t.Errorf("fault rule: %v", err)
		return func() {}
	}
	return func() { c.lota.RemoveRule(id) }
}

// settleAll waits until every accepted event has come to its end.
func (c *chaos) settleAll() {
	c.t.Helper()
	var last error
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if last = c.unsettled(); last == nil {
			return
		}
	}
	c.t.Errorf("not at rest three minutes after the last fault: %v", last)
}

func (c *chaos) unsettled() error {
	accepted := 0
	for _, e := range c.plan {
		accepted += len(e.seqs)
	}
	if n := c.finals.count(); n < accepted {
		return fmt.Errorf("%d of %d accepted events have a final receipt", n, accepted)
	}
	for _, name := range []string{checkpointDurable, modelDurable} {
		cons, err := c.js.Consumer(c.t.Context(), "EVENTS", name)
		if err != nil {
			return err
		}
		if info := cons.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Errorf("%s: %d not delivered, %d not acked", name, info.NumPending, info.NumAckPending)
		}
	}
	return nil
}

// quantile is the value below which the share q of all values lies.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
