package replay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
)

// Selection is what of a stream's history is meant. Zero fields mean all.
type Selection struct {
	Since    time.Time `json:"since,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	FromSeq  uint64    `json:"from_seq,omitempty"`
	ToSeq    uint64    `json:"to_seq,omitempty"`
	Subjects []string  `json:"subjects,omitempty"` // with wildcards
	Runs     []string  `json:"runs,omitempty"`
	Models   []string  `json:"models,omitempty"`
	Bucket   string    `json:"bucket,omitempty"`
	Prefix   string    `json:"prefix,omitempty"` // of keys in Bucket
	Latest   int       `json:"latest,omitempty"` // of each run, or model, only so many of the newest
	Named    []Place   `json:"-"`                // only these, by sequence; there may be very many
}

// Check says what cannot be meant.
func (s Selection) Check() error {
	switch {
	case !s.Since.IsZero() && s.FromSeq > 0:
		return errors.New("since and from-seq exclude each other")
	case !s.Until.IsZero() && s.ToSeq > 0:
		return errors.New("until and to-seq exclude each other")
	case s.ToSeq > 0 && s.ToSeq < s.FromSeq:
		return fmt.Errorf("to-seq %d is before from-seq %d", s.ToSeq, s.FromSeq)
	case !s.Until.IsZero() && s.Until.Before(s.Since):
		return fmt.Errorf("until %s is before since %s", s.Until.Format(time.RFC3339), s.Since.Format(time.RFC3339))
	case s.Prefix != "" && s.Bucket == "":
		return errors.New("a prefix needs its bucket")
	case s.Latest < 0:
		return errors.New("latest counts from 1")
	}
	return nil
}

// content says that events are chosen by what they say, so that one which cannot
// be read is not meant.
func (s Selection) content() bool {
	return len(s.Runs) > 0 || len(s.Models) > 0 || s.Bucket != "" || s.Latest > 0
}

// matches says that an event is meant, Latest and Named aside; err is that of
// decoding it.
func (s Selection) matches(ev events.Event, err error) bool {
	switch {
	case err != nil || ev.Skip != "":
		return !s.content()
	case len(s.Runs) > 0 && !slices.Contains(s.Runs, ev.Run):
		return false
	case len(s.Models) > 0 && !slices.Contains(s.Models, ev.Model):
		return false
	case s.Latest > 0 && group(ev) == "":
		return false
	}
	return s.Bucket == "" || s.touches(ev)
}

// touches says that the event names something in Bucket, below Prefix.
func (s Selection) touches(ev events.Event) bool {
	within := func(r object.Ref) bool { return r.Bucket == s.Bucket && strings.HasPrefix(r.Key, s.Prefix) }
	return within(ev.Prefix) || within(ev.Manifest) || slices.ContainsFunc(ev.Removed, within) ||
		slices.ContainsFunc(ev.Objects, func(a object.Attrs) bool { return within(a.Ref) })
}

// group is what an event is one of many of: its run, or its model.
func group(ev events.Event) string {
	switch {
	case ev.Kind == events.KindCheckpoint && ev.Run != "":
		return "run " + ev.Run
	case ev.Kind == events.KindModel && ev.Model != "":
		return "model " + ev.Model
	}
	return ""
}

// newest keeps the newest n sequences of each group. They come in order. An event
// that was sent once more, as by a redrive, is as old as it was the first time.
type newest struct {
	n    int
	seqs map[string][]uint64
	seen map[identity]struct{}
}

// identity stands for an event's id and source: there may be millions.
type identity [16]byte

func newNewest(n int) *newest {
	return &newest{n: n, seqs: make(map[string][]uint64), seen: make(map[identity]struct{})}
}

func (k *newest) add(ev events.Event, seq uint64) {
	sum := sha256.Sum256([]byte(ev.ID + "\x00" + ev.Source))
	id := identity(sum[:])
	if _, again := k.seen[id]; again {
		return
	}
	k.seen[id] = struct{}{}
	g := group(ev)
	k.seqs[g] = append(k.seqs[g], seq)
	if more := len(k.seqs[g]) - k.n; more > 0 {
		k.seqs[g] = slices.Delete(k.seqs[g], 0, more)
	}
}

func (k *newest) all() map[uint64]struct{} {
	out := make(map[uint64]struct{})
	for _, seqs := range k.seqs {
		for _, s := range seqs {
			out[s] = struct{}{}
		}
	}
	return out
}
