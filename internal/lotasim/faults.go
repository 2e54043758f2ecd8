package lotasim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// Action is what a Rule does to the requests that it applies to.
type Action string

// The actions. Those that end a request do so before the backend hears of it.
const (
	AnswerStatus Action = "status"       // answer Status, with RetryAfter; ends the request
	Reset        Action = "reset"        // cut the connection (TCP RST); ends the request
	Stall        Action = "stall"        // accept, don't answer, cut after For (0: never); ends the request
	Latency      Action = "latency"      // wait For, then go on
	SlowHeaders  Action = "slow_headers" // let the answer's header take For
	DropFill     Action = "drop_fill"    // answer as if, but don't fill
	HoldRequest  Action = "hold"         // wait until released, then go on
	HoldFill     Action = "hold_fill"    // a fill that this request starts ends only after the release
)

// Match selects requests; a zero field lets everything through.
type Match struct {
	Listener string `json:"listener,omitempty"` // ListenerLOTA or ListenerPrimary
	Method   string `json:"method,omitempty"`
	Bucket   string `json:"bucket,omitempty"` // glob: * is any text, ? is one character
	Key      string `json:"key,omitempty"`    // glob over the plain key; * includes slashes
	Ranged   bool   `json:"ranged,omitempty"` // only requests with a Range header
}

// Rule is one fault script. Rules are tried in the order of their addition;
// each that applies acts, until one ends the request.
type Rule struct {
	Match
	ID          int           // given by AddRule, from 1
	Count       int           // applies to so many requests, then no more; 0: to all
	Probability float64       // of applying to a request that matches; 0: always
	Do          Action        //
	For         time.Duration //
	Status      int           // of AnswerStatus, 400 to 599
	RetryAfter  string        // header of AnswerStatus, as it is
	Applied     int           // to so many requests so far
}

// rule is a Rule at work.
type rule struct {
	Rule
	seen     map[object.Ref]uint64 // matches by object, where chance decides
	released chan struct{}
	arrived  chan struct{} // one token for each request that is held
	open     sync.Once
}

func (r *rule) release() { r.open.Do(func() { close(r.released) }) }

// faults is the list of rules.
type faults struct {
	mu    sync.Mutex
	rules []*rule
	last  int
}

// maxRules bounds what the admin API may add.
const maxRules = 1000

// AddRule adds r, whose ID and Applied are ignored, and returns its ID.
func (s *Sim) AddRule(r Rule) (int, error) {
	added, err := s.addRule(r)
	if err != nil {
		return 0, err
	}
	return added.ID, nil
}

func (s *Sim) addRule(r Rule) (*rule, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	f := &s.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rules) >= maxRules {
		return nil, fmt.Errorf("there are %d fault rules already: remove some", maxRules)
	}
	f.last++
	r.ID, r.Applied = f.last, 0
	added := &rule{Rule: r, released: make(chan struct{}), arrived: make(chan struct{}, 1<<16)}
	f.rules = append(f.rules, added)
	return added, nil
}

func (r Rule) check() error {
	switch r.Do {
	case AnswerStatus:
		if r.Status < 400 || r.Status > 599 {
			return fmt.Errorf("status %d of a fault rule: must be 400 to 599", r.Status)
		}
	case Latency, SlowHeaders:
		if r.For == 0 {
			return fmt.Errorf("a fault rule that does %q needs a time", r.Do)
		}
	case Reset, Stall, DropFill, HoldRequest, HoldFill:
	default:
		return fmt.Errorf("a fault rule cannot do %q: want status, reset, stall, latency, slow_headers, drop_fill, hold or hold_fill", r.Do)
	}
	switch {
	case !(r.Probability >= 0 && r.Probability <= 1):
		return fmt.Errorf("probability %v of a fault rule: must be 0 to 1", r.Probability)
	case r.Count < 0 || r.For < 0:
		return errors.New("count and time of a fault rule must not be negative")
	case r.Listener != "" && r.Listener != ListenerLOTA && r.Listener != ListenerPrimary:
		return fmt.Errorf("listener %q of a fault rule: must be %q or %q", r.Listener, ListenerLOTA, ListenerPrimary)
	}
	return nil
}

// RemoveRule removes a rule and lets go what it holds; false: there is none.
func (s *Sim) RemoveRule(id int) bool {
	return s.faults.remove(func(r *rule) bool { return r.ID == id }) > 0
}

// ClearRules removes all rules and lets go what they hold.
func (s *Sim) ClearRules() { s.faults.remove(func(*rule) bool { return true }) }

func (f *faults) remove(gone func(*rule) bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.rules)
	f.rules = slices.DeleteFunc(f.rules, func(r *rule) bool {
		if !gone(r) {
			return false
		}
		r.release()
		return true
	})
	return before - len(f.rules)
}

// Release lets go what rule id holds, and what it would hold from now on; 0
// means every rule. It tells how many rules that concerned.
func (s *Sim) Release(id int) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	n := 0
	for _, r := range s.faults.rules {
		if (r.Do == HoldRequest || r.Do == HoldFill) && (id == 0 || r.ID == id) {
			r.release()
			n++
		}
	}
	return n
}

// Rules lists the rules.
func (s *Sim) Rules() []Rule {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make([]Rule, 0, len(s.faults.rules))
	for _, r := range s.faults.rules {
		out = append(out, r.Rule)
	}
	return out
}

// applying picks the rules that act on x, in order.
func (f *faults) applying(x *exchange) []*rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*rule
	for _, r := range f.rules {
		if !r.matches(x) || (r.Count > 0 && r.Applied >= r.Count) || !r.chance(x) {
			continue
		}
		r.Applied++
		out = append(out, r)
		if r.Do == AnswerStatus || r.Do == Reset || r.Do == Stall {
			break
		}
	}
	return out
}

func (m Match) matches(x *exchange) bool {
	return (m.Listener == "" || m.Listener == x.side.name) &&
		(m.Method == "" || m.Method == x.r.Method) &&
		(m.Bucket == "" || glob(m.Bucket, x.ref.Bucket)) &&
		(m.Key == "" || glob(m.Key, x.ref.Key)) &&
		(!m.Ranged || x.r.Header.Get("Range") != "")
}

func (r *rule) chance(x *exchange) bool {
	if r.Probability == 0 || r.Probability == 1 {
		return true
	}
	if r.seen == nil {
		r.seen = map[object.Ref]uint64{}
	}
	r.seen[x.ref]++
	return draw(x.sim.seed, fmt.Sprintf("rule %d", r.ID), x.ref, r.seen[x.ref]) < r.Probability
}

// Hold is a rule that holds requests, or the fills that they start, so that a
// test decides what happens first.
type Hold struct {
	sim  *Sim
	rule *rule
}

// Hold stops every request that m selects before the backend hears of it.
func (s *Sim) Hold(m Match) (*Hold, error) { return s.hold(m, HoldRequest) }

// HoldFills lets no fill end that was started by a request that m selects.
func (s *Sim) HoldFills(m Match) (*Hold, error) { return s.hold(m, HoldFill) }

func (s *Sim) hold(m Match, do Action) (*Hold, error) {
	r, err := s.addRule(Rule{Match: m, Do: do})
	if err != nil {
		return nil, err
	}
	return &Hold{sim: s, rule: r}, nil
}

// Arrived waits for the next request that is held: the nth call returns when
// the nth has arrived.
func (h *Hold) Arrived(ctx context.Context) error {
	select {
	case <-h.rule.arrived:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a held request: %w", context.Cause(ctx))
	}
}

// Release lets all go and removes the rule.
func (h *Hold) Release() { h.sim.RemoveRule(h.rule.ID) }

// glob matches s with a pattern in which * is any text and ? one byte.
func glob(pattern, s string) bool {
	star, retry, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
