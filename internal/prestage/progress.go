package prestage

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync"

	"github.com/prestage/prestage/internal/outcome"
)

// Progress is an event's memory of what it has filled, across its attempts in
// this process. What it holds is not asked for again, whatever the ledger says
// (which may be full or slow), and counts as filled. It is safe for concurrent
// use.
type Progress struct {
	mu     sync.Mutex
	filled map[itemKey]filledItem
}

type filledItem struct {
	bytes   int64
	verdict outcome.Verdict
}

// NewProgress returns an empty memory.
func NewProgress() *Progress { return &Progress{filled: make(map[itemKey]filledItem)} }

func (p *Progress) get(k itemKey) (filledItem, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.filled[k]
	return f, ok
}

func (p *Progress) put(k itemKey, f filledItem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filled[k] = f
}

// itemKey stands for an object and what is known of its version.
type itemKey [16]byte

func keyOf(i Item) itemKey {
	modified := ""
	if !i.LastModified.IsZero() {
		modified = strconv.FormatInt(i.LastModified.Unix(), 10)
	}
	var buf []byte
	for _, s := range []string{i.Bucket, i.Key, i.ETag, i.ID, modified, i.Sequencer.Source, i.Sequencer.Value} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	sum := sha256.Sum256(buf)
	return itemKey(sum[:16])
}
