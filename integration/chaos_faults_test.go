package integration_test

import (
	"math/rand/v2"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// fault is something that goes wrong for a while.
type fault struct {
	kind   string
	at     time.Duration // since the start
	length time.Duration
	target int // replica, or node of the cache

	ended time.Time // when all was well again
}

// faultKinds are what can go wrong. Each begins it and returns what ends it.
var faultKinds = map[string]func(c *chaos, f *fault) (heal func()){
	// Replicas.
	"replica killed (kill -9)":  onReplica(syscall.SIGKILL),
	"replica stopped (SIGTERM)": onReplica(syscall.SIGTERM),
	"replica frozen (SIGSTOP)": func(c *chaos, f *fault) func() {
		r := c.replicas[f.target]
		r.busy.Lock()
		p := r.process()
		if p != nil {
			_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		}
		return func() {
			defer r.busy.Unlock()
			if p != nil {
				_ = p.cmd.Process.Signal(syscall.SIGCONT)
			}
		}
	},

	// NATS.
	"nats-server killed (kill -9)": onBroker(func(cmd *exec.Cmd) error { return cmd.Process.Kill() }),
	"nats-server restarted":        onBroker(func(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) }),
	"nats connections cut": func(c *chaos, f *fault) func() {
		c.replicas[f.target].nats.cut()
		return func() {}
	},
	"nats partitioned from a replica": onProxy(func(r *replica, on bool) { r.nats.hold(on) }),
	"nats slow":                       onProxy(func(r *replica, on bool) { r.nats.slow(delay(on, 40*time.Millisecond)) }),

	// The way to LOTA.
	"LOTA connections cut": func(c *chaos, f *fault) func() {
		c.replicas[f.target].lota.cut()
		return func() {}
	},
	"LOTA partitioned from a replica": onProxy(func(r *replica, on bool) { r.lota.hold(on) }),
	"LOTA slow":                       onProxy(func(r *replica, on bool) { r.lota.slow(delay(on, 100*time.Millisecond)) }),
	"LOTA refuses a replica": func(c *chaos, f *fault) func() {
		r := c.replicas[f.target]
		r.lota.refuse()
		r.lota.cut()
		return func() {
			if err := r.lota.accept(); err != nil {
				c.t.Errorf("proxy: %v", err)
			}
		}
	},

	// LOTA itself.
	"LOTA 503":             onLOTA(lotasim.Rule{Do: lotasim.AnswerStatus, Status: 503, Probability: 0.5}),
	"LOTA 429 Retry-After": onLOTA(lotasim.Rule{Do: lotasim.AnswerStatus, Status: 429, RetryAfter: "1", Probability: 0.5}),
	"LOTA 500 for all":     onLOTA(lotasim.Rule{Do: lotasim.AnswerStatus, Status: 500}),
	"LOTA 502 now and then": onLOTA(lotasim.Rule{
		Do: lotasim.AnswerStatus, Status: 502, Probability: 0.2,
	}),
	"LOTA resets":        onLOTA(lotasim.Rule{Do: lotasim.Reset, Probability: 0.2}),
	"LOTA stalls":        onLOTA(lotasim.Rule{Do: lotasim.Stall, For: 8 * time.Second, Probability: 0.05}),
	"LOTA slow headers":  onLOTA(lotasim.Rule{Do: lotasim.SlowHeaders, For: 400 * time.Millisecond, Probability: 0.5}),
	"LOTA 403 for all":   onLOTA(lotasim.Rule{Do: lotasim.AnswerStatus, Status: 403}),
	"fills held":         onLOTA(lotasim.Rule{Match: lotasim.Match{Ranged: true}, Do: lotasim.HoldFill}),
	"fills never happen": onLOTA(lotasim.Rule{Do: lotasim.DropFill, Probability: 0.5}),
	"node of the cache lost": func(c *chaos, f *fault) func() {
		if _, err := c.lota.LoseNode(f.target % c.nodes); err != nil {
			c.t.Errorf("lose node: %v", err)
		}
		return func() {}
	},
}

func onReplica(s syscall.Signal) func(*chaos, *fault) func() {
	return func(c *chaos, f *fault) func() {
		r := c.replicas[f.target]
		r.busy.Lock()
		if p := r.process(); p != nil {
			_ = p.cmd.Process.Signal(s)
			select {
			case <-p.exited:
				if code := p.cmd.ProcessState.ExitCode(); s == syscall.SIGTERM && code != 0 {
					c.t.Errorf("exit code %d after SIGTERM, want 0", code)
				}
			case <-time.After(patience):
				c.t.Errorf("replica %d has not ended %s after %s", f.target, patience, s)
			}
		}
		return func() {
			defer r.busy.Unlock()
			r.start(c)
		}
	}
}

func onBroker(how func(*exec.Cmd) error) func(*chaos, *fault) func() {
	return func(c *chaos, _ *fault) func() {
		c.restarts.Lock()
		c.broker.end(how)
		return func() {
			defer c.restarts.Unlock()
			c.broker.start()
		}
	}
}

func onProxy(turn func(r *replica, on bool)) func(*chaos, *fault) func() {
	return func(c *chaos, f *fault) func() {
		turn(c.replicas[f.target], true)
		return func() { turn(c.replicas[f.target], false) }
	}
}

func onLOTA(r lotasim.Rule) func(*chaos, *fault) func() {
	return func(c *chaos, _ *fault) func() { return c.rule(r) }
}

func delay(on bool, d time.Duration) time.Duration {
	if on {
		return d
	}
	return 0
}

// planFaults draws faults so that each kind comes before one comes again.
func planFaults(random *rand.Rand, form chaosForm) []*fault {
	var kinds []string
	var plan []*fault
	for i := range form.faults {
		if len(kinds) == 0 {
			kinds = sortedKeys(faultKinds)
			random.Shuffle(len(kinds), func(a, b int) { kinds[a], kinds[b] = kinds[b], kinds[a] })
		}
		f := &fault{
			kind: kinds[0], target: random.IntN(form.replicas),
			at:     form.span * time.Duration(i) / time.Duration(form.faults),
			length: time.Duration(300+random.IntN(2700)) * time.Millisecond,
		}
		if f.kind == "replica frozen (SIGSTOP)" {
			f.length += 5 * time.Second // beyond AckWait
		}
		kinds = kinds[1:]
		plan = append(plan, f)
	}
	return plan
}

// fail lets every fault happen at its time and waits until all are over.
func (c *chaos) fail() {
	began := time.Now()
	var all sync.WaitGroup
	for _, f := range c.faults {
		all.Go(func() {
			time.Sleep(time.Until(began.Add(f.at)))
			heal := faultKinds[f.kind](c, f)
			time.Sleep(f.length)
			heal()
			f.ended = time.Now()
		})
	}
	all.Wait()
}
