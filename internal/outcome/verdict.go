package outcome

// Verdict says how a fill is known; none claims more than was observed.
type Verdict string

// The verdicts, from the weakest.
const (
	Accepted    Verdict = "accepted"    // the ranged HEAD answered 2xx; no more is known
	Synchronous Verdict = "synchronous" // the 2xx came when the fill was done
	Verified    Verdict = "verified"    // reads through LOTA then came at cache speed
)

var strength = map[Verdict]int{Accepted: 1, Synchronous: 2, Verified: 3}

// Weaker returns the weaker of a and b; an empty one says nothing.
func Weaker(a, b Verdict) Verdict {
	if strength[a] == 0 || (strength[b] != 0 && strength[b] < strength[a]) {
		return b
	}
	return a
}
