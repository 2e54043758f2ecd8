package confirm

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

const (
	perOctave  = 8  // newest fills that are kept of each octave of size
	binSamples = 3  // fills that make an octave count
	minBins    = 3  // octaves that count
	minFills   = 12 // fills since one was too fast; twice as many after each
	maxFills   = 1 << 20
	minPlain   = 3  // plain HEADs of objects half as large as the largest octave's
	maxPlain   = 32 // plain HEADs that are kept

	// fastShare of the time that the fit gives an object's bytes is too fast for
	// a fill.
	fastShare = 0.5
	// material times what a plain HEAD takes, by byte, is what a fill must take at
	// least: less could be the metadata of many parts.
	material = 3.0
	// clear times its standard error is what the growth must be at least. Once it is
	// known, keptClear of all that will do.
	clear     = 8.0
	keptClear = 0.5
)

// Synchrony tells whether an endpoint answers a ranged HEAD when the fill is
// done. It does where the latency, less that of plain HEADs of large objects,
// grows in proportion to size over fills in three octaves or more. One slow answer shows
// nothing; one fast answer to a large fill refutes, and all is learnt anew. Its
// zero value knows nothing. It is not safe for concurrent use.
type Synchrony struct {
	octaves [64]ring[fillTime]
	plain   ring[fillTime]
	fit     fit

	sound int // fills in a row of which none was too fast
	need  int // so many are asked for; 0: minFills
}

type fillTime struct {
	bytes   float64
	seconds float64
}

// fit is latency = plain + first + bytes x perByte, in seconds.
type fit struct {
	known                 bool
	plain, first, perByte float64
}

// Ranged takes the latency of a ranged HEAD of size bytes, for which nobody
// else was seen to ask, and says whether its fill can be taken for done.
func (s *Synchrony) Ranged(size int64, latency time.Duration) bool {
	if size <= 0 {
		return false
	}
	f := fillTime{float64(size), latency.Seconds()}
	if s.fit.known && s.fit.tooFast(f) {
		s.octaves, s.fit, s.sound = [64]ring[fillTime]{}, fit{}, 0
		s.need = min(2*max(s.need, minFills), maxFills)
		return false
	}
	s.sound++
	s.octaves[bits.Len64(uint64(size))-1].add(perOctave, f)
	s.fit = s.refit()
	return s.fit.known
}

// Plain takes the latency of a plain HEAD.
func (s *Synchrony) Plain(size int64, latency time.Duration) {
	if size > 0 {
		s.plain.add(maxPlain, fillTime{float64(size), latency.Seconds()})
	}
}

// WantsPlain says that a plain HEAD of an object of size bytes would help: all
// else speaks for synchrony.
func (s *Synchrony) WantsPlain(size int64) bool {
	bins, _ := s.bins()
	if len(bins) < minBins || len(s.plainOf(bins)) >= minPlain {
		return false
	}
	first, perByte := theilSen(bins)
	large := bins[len(bins)-1].bytes
	return float64(size) >= large/2 && perByte*large > first/4
}

// Known says that the endpoint answers when the fill is done.
func (s *Synchrony) Known() bool { return s.fit.known }

// bins are the medians of the octaves that have enough fills, and all fills of
// theirs.
func (s *Synchrony) bins() (bins, all []fillTime) {
	for i := range s.octaves {
		fills := s.octaves[i].values
		if len(fills) < binSamples {
			continue
		}
		all = append(all, fills...)
		bins = append(bins, fillTime{
			median(fills, func(f fillTime) float64 { return f.bytes }),
			median(fills, func(f fillTime) float64 { return f.seconds }),
		})
	}
	return bins, all
}

// plainOf are the plain HEADs of objects about as large as the largest of bins.
func (s *Synchrony) plainOf(bins []fillTime) []fillTime {
	var out []fillTime
	for _, p := range s.plain.values {
		if p.bytes >= bins[len(bins)-1].bytes/2 {
			out = append(out, p)
		}
	}
	return out
}

func (s *Synchrony) refit() fit {
	bins, all := s.bins()
	if len(bins) < minBins || s.sound < max(s.need, minFills) {
		return fit{}
	}
	base, least := s.fit.plain, 0.0
	if plain := s.plainOf(bins); len(plain) >= minPlain {
		base = median(plain, func(p fillTime) float64 { return p.seconds })
		least = material * median(plain, func(p fillTime) float64 { return p.seconds / p.bytes })
	} else if !s.fit.known { // else there are larger objects than before, whose plain HEADs will come
		return fit{}
	}
	extra := slices.Clone(bins)
	for i := range extra {
		extra[i].seconds -= base
	}
	f := fit{known: true, plain: base}
	f.first, f.perByte = theilSen(extra)
	if s.fit.known { // what is near the border would go to and fro
		least *= keptClear
	}
	if f.perByte < least || !f.isClear(all, s.fit.known) {
		return fit{}
	}
	f.first = max(f.first, 0)
	for _, b := range extra { // in proportion, not only growing
		want := f.first + f.perByte*b.bytes
		if want > base && (b.seconds < want/2 || b.seconds > want*2) {
			return fit{}
		}
	}
	if slices.ContainsFunc(all, f.tooFast) {
		s.sound = 0
		return fit{}
	}
	return f
}

// isClear says that the growth of all with size is none that comes by chance.
func (f fit) isClear(all []fillTime, known bool) bool {
	n, mean, squares := float64(len(all)), 0.0, 0.0
	for _, t := range all {
		mean += t.bytes / n
	}
	for _, t := range all {
		squares += (t.bytes - mean) * (t.bytes - mean)
	}
	off := func(t fillTime) float64 { return math.Abs(t.seconds - f.plain - f.first - f.perByte*t.bytes) }
	sigma := 1.4826 * median(all, off) * n / (n - 4) // few fills lie nearer to their own fit
	if known {
		sigma *= keptClear
	}
	return f.perByte > clear*sigma/math.Sqrt(squares)
}

// tooFast says that t is no time in which its bytes could be fetched, where that
// can be told from the noise.
func (f fit) tooFast(t fillTime) bool {
	bytes := f.perByte * t.bytes
	return bytes > f.plain && t.seconds-f.plain < fastShare*bytes
}

// theilSen fits seconds = first + bytes x perByte by the median of the slopes of
// all pairs, which up to 29 % of outliers do not move far.
func theilSen(points []fillTime) (first, perByte float64) {
	var slopes []float64
	for i, a := range points {
		for _, b := range points[i+1:] {
			slopes = append(slopes, (b.seconds-a.seconds)/(b.bytes-a.bytes))
		}
	}
	perByte = middle(slopes)
	return median(points, func(p fillTime) float64 { return p.seconds - perByte*p.bytes }), perByte
}
