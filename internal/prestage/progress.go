package prestage

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Progress is an event's memory of what it has filled, across its attempts in
// this process. What it holds is not asked for again, whatever the ledger says
// (which may be full or slow), and counts as filled. It is bounded: of objects
// beyond that only the ledger knows. It is safe for concurrent use by one
// attempt at a time.
type Progress struct {
	mu      sync.Mutex
	objects markSet
	room    *room // of the attempt
	forgot  bool  // something, in this attempt

	untold  sizes           // of what was filled, as far as the plan does not tell it each time
	verdict outcome.Verdict // of the weakest

	// short says that the objects had fewer bytes than the event announces. Then
	// what was filled may not be what was meant.
	short bool

	confirmation
}

// NewProgress returns an empty memory.
func NewProgress() *Progress { return new(Progress) }

// Len is how many objects are remembered, 11 to 16 bytes each.
func (p *Progress) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.objects.n
}

// begin starts an attempt, which remembers as far as there is room. It returns
// what earlier ones filled, as far as the plan does not tell it, and whether
// that must be looked at again.
func (p *Progress) begin(r *room) (earlier sizes, short bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects.keep(filled)
	p.room, p.forgot = r, false
	r.give(-p.objects.n)
	if p.short {
		p.untold = sizes{}
	}
	return p.untold, p.short
}

// end is the attempt's end.
func (p *Progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room.give(p.objects.n)
	p.room = nil
}

// filled says that the event has filled the object, and how that is known of
// the weakest.
func (p *Progress) filled(h uint64) (outcome.Verdict, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdict, p.objects.get(h)&filled != 0 && !p.again[h]
}

// fill remembers a fill of an object of which the plan said size.
func (p *Progress) fill(h uint64, size int64, f fill) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.again, h)
	if !p.remember(h, filled|told) {
		return
	}
	p.verdict = outcome.Weaker(p.verdict, f.verdict)
	switch {
	case size == object.UnknownSize:
		p.untold.add(f.Size)
	case f.Size != object.UnknownSize:
		p.untold.bytes += f.Size - size
	}
}

// add remembers a hash as that of something filled.
func (p *Progress) add(h uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(h, filled)
}

// see notes that the object is told of in this attempt. It says whether it was
// before, which it may have been as well when something was forgotten.
func (p *Progress) see(h uint64) (again, forgot bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	again = p.objects.get(h)&told != 0
	forgot = p.forgot
	if !p.remember(h, told) {
		p.forgot = true
	}
	return again, forgot
}

func (p *Progress) remember(h uint64, m mark) bool {
	if p.objects.get(h) == 0 && (p.objects.n >= maxRemembered || !p.room.take()) {
		return false
	}
	p.objects.add(h, m)
	return true
}

func (p *Progress) setShort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.short = true
}

// hashOf stands for an object and what is known of its version.
func hashOf(i Item) uint64 {
	modified := ""
	if !i.LastModified.IsZero() {
		modified = strconv.FormatInt(i.LastModified.Unix(), 10)
	}
	buf := make([]byte, 0, 256)
	for _, s := range []string{i.Bucket, i.Key, i.ETag, i.ID, modified, i.Sequencer.Source, i.Sequencer.Value} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	return shortHash(buf)
}

func shortHash(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}
