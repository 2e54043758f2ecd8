package prestage

import (
	"time"

	"github.com/prestage/prestage/internal/object"
)

const (
	// ownKeys of a bucket that the store fails for at a time are more than some
	// objects' bad luck.
	ownKeys = 5
	// failingFor is longer than an attempt is put off.
	failingFor = 15 * time.Minute
)

// aloneError is what the store said of an object, which it answered for another one
// then. How many objects of the event fared so is not known yet.
type aloneError struct{ error }

// answers is what of a bucket's keys the store answered for, and which it fails for
// of late, whatever is asked of them.
type answers struct {
	last, before string               // the latest two keys that were answered for
	failing      map[string]time.Time // ownKeys at most, when that was seen last
}

// note notes that key was answered for.
func (a *answers) note(key string) {
	delete(a.failing, key)
	if key != a.last {
		a.last, a.before = key, a.last
	}
}

// witness notes that the store fails for ref, and names another object of the
// bucket to ask for, unless there is none, or too many fare like this one.
func (w *bucketWatch) witness(ref object.Ref) (other object.Ref, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.buckets[ref.Bucket]
	if b == nil {
		return object.Ref{}, false
	}
	a, now := &b.answers, time.Now()
	for key, at := range a.failing {
		if now.Sub(at) > failingFor {
			delete(a.failing, key)
		}
	}
	if _, known := a.failing[ref.Key]; known || len(a.failing) < ownKeys {
		if a.failing == nil {
			a.failing = make(map[string]time.Time, ownKeys)
		}
		a.failing[ref.Key] = now
	}
	other = object.Ref{Bucket: ref.Bucket, Key: a.last}
	if a.last == ref.Key {
		other.Key = a.before
	}
	return other, other.Key != "" && len(a.failing) < ownKeys
}
