package lotasim

import "time"

// fillOrder is what a request asks of the cache.
type fillOrder struct {
	name name
	v    version
	drop bool  // a rule: answer as if, but don't
	hold *rule // a rule: not before it is released
	head bool  // a ranged HEAD, for which Options.Refill counts
}

// fill starts what o asks for, unless the version is there, on its way, or
// nothing that LOTA caches. The fill is nil where nobody can wait for one.
func (s *Sim) fill(o fillOrder) (Filled, *fill) {
	c := s.cache
	c.mu.Lock()
	e := c.entry(o.name)
	again := o.head && s.opts.Refill
	switch state := e.state(o.v); {
	case state == FillHit && !again:
		c.recent.MoveToFront(e.cached)
		c.mu.Unlock()
		return FillHit, nil
	case state == FillCoalesced && !again:
		f := e.filling
		c.mu.Unlock()
		return FillCoalesced, f
	case state == FillNone: // another version than this one is of no use any more
		c.drop(e)
		e.supersede()
	}
	if o.v.size <= s.opts.MinCacheBytes || o.v.size > c.capacity {
		c.mu.Unlock()
		return FillNone, nil
	}
	e.drawn++
	if o.drop || draw(s.seed, "drop", o.name.Ref, e.drawn) < s.opts.DropProbability {
		c.mu.Unlock()
		s.counters.FillsDropped.Add(1)
		return FillDropped, nil
	}
	f := &fill{entry: e, version: o.v, flows: make(chan struct{}), done: make(chan struct{})}
	e.filling = f
	e.fills++
	c.mu.Unlock()

	s.counters.FillsStarted.Add(1)
	took := s.opts.Timing.fill(o.v.size)
	if took == 0 && o.hold == nil {
		f.flow()
		s.finish(f)
		return FillStarted, f
	}
	if !s.begin() {
		c.abandon(f)
		close(f.done)
		return FillStarted, f
	}
	go func() {
		defer s.fills.Done()
		if s.pass(f, took, o.hold) {
			s.finish(f)
			return
		}
		c.abandon(f)
		close(f.done)
	}()
	return FillStarted, f
}

// begin counts a goroutine that Close waits for; false: it is too late for one.
func (s *Sim) begin() bool {
	s.closing.Lock()
	defer s.closing.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.fills.Add(1)
		return true
	}
}

// flow says that the bytes come from now on.
func (f *fill) flow() {
	f.since = time.Now()
	close(f.flows)
}

// pass waits for a rule's release and then the time that f takes; false: the
// emulator was closed.
func (s *Sim) pass(f *fill, took time.Duration, hold *rule) bool {
	if hold != nil {
		select {
		case <-hold.released:
		case <-s.closed:
			return false
		}
	}
	f.flow()
	t := time.NewTimer(took)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closed:
		return false
	}
}

func (s *Sim) finish(f *fill) {
	switch {
	case s.cache.put(f):
		s.counters.FillsDone.Add(1)
	case !f.stale: // no room
		s.counters.FillsDropped.Add(1)
	}
	close(f.done)
}
