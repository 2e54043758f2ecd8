package prestage

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// Item is one object of a plan.
type Item struct {
	object.Attrs
	Current bool           // the version was just read from the store
	Listed  bool           // the object was in a listing: missing means gone since
	Skip    outcome.Reason // why it is not asked for; "": it is
	// MaxBytes is the most that its rule lets it have, where its size is not known;
	// 0: any size is fine.
	MaxBytes int64
}

// String is a line of a printed plan: what, how much, and why not.
func (i Item) String() string {
	size := "size unknown"
	if i.Size != object.UnknownSize {
		size = strconv.FormatInt(i.Size, 10) + " bytes"
	}
	if i.Skip != "" {
		return fmt.Sprintf("skip %q (%s): %s", i.Ref, size, i.Skip)
	}
	if i.Archived {
		size += ", " + ClassArchive
	}
	return fmt.Sprintf("fill %q (%s)", i.Ref, size)
}

// Summary is what a plan came to.
type Summary struct {
	Objects int64                    // distinct ones, skipped ones included
	Bytes   int64                    // of those whose size is known
	Unsized int64                    // those whose size is not
	Skips   map[outcome.Reason]int64 // skipped objects by reason
	Layout  layout.Format            // of the checkpoint below a prefix, "" when there is none that is known
	Judged  bool                     // it was held against its format's rule: without Problems and Doubt it is whole
	Doubt   string                   // what the rule misses although the request states that all is there
	Fill    Amount                   // what is to be filled
	Archive Amount                   // of that, what the store keeps in the class STANDARD_IA
	// Problems say what is wrong although the plan could be walked: the request
	// is incomplete, or an index could not be read.
	Problems []*outcome.Error
}

// Amount is a number of objects and their bytes.
type Amount struct {
	Objects int64
	Bytes   int64 // of those whose size is known
	Unsized int64 // objects whose size is not
}

func (a *Amount) add(size int64) {
	a.Objects++
	if size == object.UnknownSize {
		a.Unsized++
		return
	}
	a.Bytes += size
}

// String is the last line of a printed plan.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d objects, %d bytes", s.Objects, s.Bytes)
	if s.Unsized > 0 {
		fmt.Fprintf(&b, " and %d objects of unknown size", s.Unsized)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Skips)) {
		fmt.Fprintf(&b, "; %d skipped: %s", s.Skips[reason], reason)
	}
	if s.Layout != "" {
		fmt.Fprintf(&b, "; a checkpoint of format %s", s.Layout)
		switch {
		case s.Doubt != "":
			fmt.Fprintf(&b, ", %s", s.Doubt)
		case s.Whole():
			b.WriteString(", complete")
		}
	}
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "; %s: %v", p.Reason, p)
	}
	return b.String()
}

// Whole says that a checkpoint was held against its format's rule, and kept it.
func (s Summary) Whole() bool { return s.Judged && s.Doubt == "" && len(s.Problems) == 0 }

func (s *Summary) add(i Item) {
	s.Objects++
	if i.Size == object.UnknownSize {
		s.Unsized++
	} else {
		s.Bytes += i.Size
	}
	if i.Skip != "" {
		if s.Skips == nil {
			s.Skips = make(map[outcome.Reason]int64)
		}
		s.Skips[i.Skip]++
		return
	}
	s.Fill.add(i.Size)
	if i.Archived {
		s.Archive.add(i.Size)
	}
}
