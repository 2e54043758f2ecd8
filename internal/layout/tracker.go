package layout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxTracker is how long a tracker, or a checkpoint's own metadata, may be to be
// read, in bytes. Real ones have less than a hundred, or a few thousand.
const MaxTracker = 64 << 10

// Iterations is how the names of Megatron's checkpoints begin.
const Iterations = "iter_"

// maxName bounds the name that a tracker may hold.
const maxName = 255

// Named returns the claim that the tracker's text makes. The text is hostile:
// what it names is one directory below the tracker's own, or an error.
func (c Claim) Named(text []byte) (Claim, error) {
	name, err := trackerName(c.Format, text)
	if err != nil {
		return Claim{}, err
	}
	return Claim{Format: c.Format, Prefix: c.Prefix + name + "/"}, nil
}

func trackerName(f Format, text []byte) (string, error) {
	if len(text) > MaxTracker || !utf8.Valid(text) {
		return "", errors.New("the tracker is no short text")
	}
	s := strings.TrimSpace(string(text))
	switch f {
	case Automodel:
		// A link's target, absolute once: only its last part is believed.
		s = strings.TrimRight(s, "/")
		_, s = split(s)
		if isAutomodelStep(s) {
			return s, nil
		}
		return "", errors.New("the tracker names no epoch_<n>_step_<n>")
	case Megatron, MegatronDist, MegatronBridge:
		if s == "release" {
			return s, nil
		}
		if n, ok := number(s); ok {
			return fmt.Sprintf("iter_%07d", n), nil
		}
		return "", errors.New("the tracker holds neither an iteration nor release")
	}
	if s == "" || s == "." || s == ".." || len(s) > maxName || strings.ContainsAny(s, "/\\") || hasControl(s) {
		return "", errors.New("the tracker names no directory beside it")
	}
	return s, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func number(s string) (int64, bool) {
	if !digits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Newest is the directory of key below prefix when that is a later iteration
// than best, which is "" or an answer of Newest, else best.
func Newest(prefix, key, best string) string {
	dir, ok := through(key[min(len(prefix), len(key)):], func(string) bool { return true })
	if !ok || !strings.HasPrefix(key, prefix) {
		return best
	}
	dir = prefix + dir
	if _, name := parent(dir); !isIteration(name) || best != "" && stepOf(dir) <= stepOf(best) {
		return best
	}
	return dir
}

// stepOf is the number at the end of a directory's name, -1 when there is none.
func stepOf(dir string) int64 {
	name := strings.TrimSuffix(dir, "/")
	at := len(name)
	for at > 0 && name[at-1] >= '0' && name[at-1] <= '9' {
		at--
	}
	if n, ok := number(name[at:]); ok {
		return n
	}
	return -1
}

// reached says that a tracker that names the directory to has come to dir: it is
// the same, or a later step of the same kind.
func reached(dir, to string) bool {
	in, name := parent(dir)
	toIn, toName := parent(to)
	if in != toIn {
		return false
	}
	if name == toName {
		return true
	}
	at, got := stepOf(dir), stepOf(to)
	same := strings.TrimRight(name, "0123456789") == strings.TrimRight(toName, "0123456789")
	if isAutomodelStep(name) && isAutomodelStep(toName) {
		same = true
	}
	return same && at >= 0 && got >= at
}
