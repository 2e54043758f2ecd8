package dedupe

import "sync"

// maxWarned bounds how many keys onceEach remembers. When a thousand records
// cannot be read, the next one is no news.
const maxWarned = 1000

// onceEach tells the first time of each key.
type onceEach struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

func (o *onceEach) first(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.seen[key]; ok || len(o.seen) == maxWarned {
		return false
	}
	if o.seen == nil {
		o.seen = make(map[string]struct{})
	}
	o.seen[key] = struct{}{}
	return true
}
