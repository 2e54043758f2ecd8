package prestage

// Priority says whose requests go first under one limit.
type Priority int

// The priorities. The zero value is the first of them.
const (
	Urgent   Priority = iota // the model lane, and a command that somebody waits for
	Routine                  // the checkpoint lane
	Backfill                 // a replay
)

const priorities = int(Backfill) + 1

// What work of different priorities leaves each other in one Limiter.
const (
	// One permit in keptFor is for urgent work alone, so that it need not wait for
	// the end of other fills, which may be far.
	keptFor = 8
	// However much goes before it, work gets one permit in leastShare.
	leastShare = 16
)

// next says who is to have the next permit, ok whether anybody is.
func (l *Limiter) next() (p Priority, ok bool) {
	room := l.governor.room(l.inUse)
	if room <= 0 {
		return 0, false
	}
	first := -1
	for i := range l.queues {
		if l.queues[i].empty() || (i > int(Urgent) && room <= l.kept()) {
			continue
		}
		if first < 0 || (l.passed[i] >= leastShare-1 && l.held[i] < max(l.governor.permits()/leastShare, 1)) {
			first = i
		}
	}
	return Priority(first), first >= 0
}

// grant gives a permit to the waiter whose turn it is among those of priority p.
func (l *Limiter) grant(p Priority) {
	w := l.queues[p].pop()
	l.waiting--
	l.inUse++
	l.held[p]++
	l.passed[p] = 0
	for i := int(p) + 1; i < priorities; i++ {
		if !l.queues[i].empty() {
			l.passed[i]++
		}
	}
	l.governor.sent()
	close(w.turn)
}

// kept is how many permits are kept for urgent work that may come.
func (l *Limiter) kept() int {
	if !l.shared {
		return 0
	}
	return max((l.governor.permits()+keptFor/2)/keptFor-l.held[Urgent], 0)
}
