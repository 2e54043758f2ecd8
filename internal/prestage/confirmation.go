package prestage

import (
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// confirmation is what an event knows, over its attempts, of what it has filled.
// It is guarded by Progress.mu.
type confirmation struct {
	counts  Confirmed
	doubted bool            // some were not confirmed, and it does not matter
	again   map[uint64]bool // hashes of objects that were not, and are to be asked for again
}

// stand says that the sample of this attempt stands for so many objects.
func (p *Progress) stand(of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Of += of
}

// verify counts an object that was verified.
func (p *Progress) verify() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Sampled++
}

// doubt says that the event's objects are known as accepted only.
func (p *Progress) doubt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = true
}

// unconfirm takes back that an object is filled: it will be asked for again.
func (p *Progress) unconfirm(i turn, f fill, warm bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again == nil {
		p.again = make(map[uint64]bool)
	}
	p.again[i.hash] = true
	p.counts.Of--
	switch { // as fill has counted it
	case warm || p.objects.get(i.hash)&filled == 0:
	case i.Item.Size == object.UnknownSize:
		p.untold.bytes -= max(f.Size, 0)
	case f.Size != object.UnknownSize:
		p.untold.bytes -= f.Size - i.Item.Size
	}
}

// unconfirmed says that an object is to be asked for again.
func (p *Progress) unconfirmed(h uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.again[h]
}

// confirmed is the verdict of all objects that a confirmation was about, "" when
// there were none, and how many reads have shown to be filled.
func (p *Progress) confirmed() (outcome.Verdict, Confirmed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.doubted:
		return outcome.Accepted, p.counts
	case p.counts.Of > 0:
		return outcome.Verified, p.counts
	}
	return "", p.counts
}
