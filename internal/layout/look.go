package layout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// Look is a question that a listing below the prefix does not answer.
type Look struct {
	// Absent is a prefix: is there any key that begins with it?
	Absent string
	// Text is the key of a small object: what does it hold?
	Text string
}

// answer is what came of a Look.
type answer struct {
	found bool
	text  []byte
}

// Answer takes what came of a Look: whether there is such a key, and the text.
func (c *Check) Answer(l Look, found bool, text []byte) {
	if c.answers == nil {
		c.answers = make(map[Look]answer)
	}
	c.answers[l] = answer{found, text}
}

// Before are the questions to ask before listing: a writer removes what says
// "unfinished" after it has written everything else, so whoever lists after
// that sees everything.
func (c *Check) Before() []Look { return c.unanswered(c.absences(c.named)) }

// Unfinished says that one of the answers to Before forbids the rest.
func (c *Check) Unfinished() bool {
	for l, a := range c.answers {
		if l.Absent != "" && a.found {
			return true
		}
	}
	return false
}

// After are the questions that are left after listing.
func (c *Check) After() []Look {
	f := c.Format()
	in, _ := parent(c.prefix)
	looks := c.absences(f)
	switch h := c.has; {
	case f == Megatron && !c.vouched, f == MegatronDist && !c.vouched && !h.finalised:
		looks = append(looks, Look{Text: in + iterationTracker})
	case f == DeepSpeed && !c.vouched:
		looks = append(looks, Look{Text: in + deepSpeedTracker})
	case f == Automodel && !c.vouched && !h.optim:
		looks = append(looks, Look{Text: in + automodelTracker}, Look{Text: in + automodelText})
	case f == Orbax && h.orbaxMetadata && !h.committed:
		looks = append(looks, Look{Text: c.prefix + orbaxMetadata})
	}
	return c.unanswered(looks)
}

func (c *Check) absences(f Format) []Look {
	self := strings.TrimSuffix(c.prefix, "/")
	in, name := parent(c.prefix)
	up := strings.TrimSuffix(in, "/")
	switch {
	case self == "":
	case f == NeMo2:
		return []Look{{Absent: self + unfinished}}
	case f == DCP && name == "weights" && up != "":
		return []Look{{Absent: up + unfinished}} // NeMo 2's, unless somebody else calls it so
	case f == Orbax && up == "":
		return []Look{{Absent: self + orbaxTemporary}}
	case f == Orbax: // and an item is whole when its step is
		return []Look{{Absent: self + orbaxTemporary}, {Absent: up + orbaxTemporary}, {Absent: in + orbaxMetadata}}
	}
	return nil
}

func (c *Check) unanswered(looks []Look) []Look {
	out := looks[:0]
	for _, l := range looks {
		if _, ok := c.answers[l]; !ok {
			out = append(out, l)
		}
	}
	return out
}

// Missing says what the rule of the checkpoint's format misses, "" when it is
// whole, or of no format that is known. Shards that an index names are for
// whoever reads the index.
func (c *Check) Missing() string {
	f := c.Format()
	for _, l := range c.absences(f) {
		if c.answers[l].found {
			return fmt.Sprintf("%s is there, which is removed when everything is written", quote(l.Absent))
		}
	}
	h := c.has
	switch f {
	case DCP:
		return c.dcpMissing()
	case LightningSharded:
		return cmp.Or(c.dcpMissing(), unless(h.metaPt, c.prefix+metaPt))
	case Megatron:
		return cmp.Or(unless(h.legacy, c.prefix+"mp_rank_…/"), c.behind(iterationTracker, Megatron))
	case MegatronDist:
		if h.finalised {
			return c.dcpMissing()
		}
		return cmp.Or(c.dcpMissing(), c.behind(iterationTracker, Megatron))
	case MegatronBridge:
		return cmp.Or(c.dcpMissing(), unless(h.trainState, c.prefix+trainState))
	case NeMo2:
		return cmp.Or(unless(h.weightsDir, c.prefix+"weights/"), unless(h.context, c.prefix+"context/"), c.bareMissing())
	case Automodel:
		return c.automodelMissing()
	case HFTrainer:
		return cmp.Or(unless(h.trainerState, c.prefix+trainerState), c.weightsMissing(), c.bareMissing())
	case HF:
		return c.weightsMissing()
	case DeepSpeed:
		return cmp.Or(unless(h.modelStates, c.prefix+"…_model_states.pt"), c.behind(deepSpeedTracker, DeepSpeed))
	case Orbax:
		return c.orbaxMissing()
	}
	return ""
}

func (c *Check) dcpMissing() string {
	switch {
	case !c.has.shard:
		return "no *" + shardSuffix + " is below " + quote(c.prefix)
	case !c.has.metadata && len(c.covered) == 0:
		return unless(false, c.prefix+dcpMetadata)
	}
	return c.bareMissing()
}

func (c *Check) bareMissing() string {
	if dir, bare := c.uncovered(); bare {
		return unless(false, c.prefix+dir+dcpMetadata)
	}
	return ""
}

func (c *Check) weightsMissing() string {
	h := c.has
	if !h.weights && !h.shard && !h.modelStates && len(c.indexed) == 0 {
		return "no weights are below " + quote(c.prefix)
	}
	return c.missingShard()
}

func (c *Check) automodelMissing() string {
	h := c.has
	switch {
	case h.marked:
		return quote(c.prefix+incomplete) + " is there, which is removed when everything is written"
	case !h.model:
		return unless(false, c.prefix+"model/")
	}
	text := cmp.Or(c.bareMissing(), c.missingShard())
	if text != "" || h.optim || c.vouched || c.behind(automodelTracker, Automodel) == "" {
		return text
	}
	return c.behind(automodelText, Automodel)
}

func (c *Check) orbaxMissing() string {
	h := c.has
	if h.committed || !h.orbaxMetadata {
		return "" // without either, the final name is all that Orbax gave it
	}
	var meta struct {
		Commit json.Number `json:"commit_timestamp_nsecs"`
	}
	text := c.answers[Look{Text: c.prefix + orbaxMetadata}].text
	if err := json.Unmarshal(text, &meta); err == nil {
		if n, ok := number(meta.Commit.String()); ok && n > 0 {
			return ""
		}
	}
	return fmt.Sprintf("%s has no commit_timestamp_nsecs, and there is no %s", quote(c.prefix+orbaxMetadata), orbaxCommit)
}

// behind says that a tracker beside the checkpoint's directory has not come to
// it, "" when it has.
func (c *Check) behind(tracker string, f Format) string {
	if c.vouched {
		return ""
	}
	in, _ := parent(c.prefix)
	a := c.answers[Look{Text: in + tracker}]
	if !a.found {
		return unless(false, in+tracker)
	}
	to, err := Claim{Format: f, Prefix: in}.Named(a.text)
	switch {
	case err != nil:
		return fmt.Sprintf("%s: %v", quote(in+tracker), err)
	case !reached(c.prefix, to.Prefix):
		return fmt.Sprintf("%s names %s", quote(in+tracker), quote(to.Prefix))
	}
	return ""
}

func unless(there bool, key string) string {
	if there {
		return ""
	}
	return quote(key) + " is missing"
}

// quote makes one short line of a key.
func quote(s string) string { return fmt.Sprintf("%.300q", s) }
