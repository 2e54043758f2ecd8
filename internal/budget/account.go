package budget

import (
	"slices"
	"time"
)

// Account is what a cluster filled of late.
type Account struct {
	Limit int64    `json:"limit"` // bytes an hour, as the last writer was set
	Spent []Minute `json:"spent"` // the earliest first
	// Waits is when a fill that waited then had room, as far as is known; when it is
	// past nobody is known to wait.
	Waits time.Time `json:"waits,omitzero"`
}

// Minute is what was filled in one minute.
type Minute struct {
	At    time.Time `json:"at"` // its beginning
	Bytes int64     `json:"bytes"`
}

const (
	// counts is how long a minute does: each byte for an hour at least.
	counts = time.Hour + time.Minute
	// maxMinute is the most that is believed of one minute. An hour of it does not
	// overflow.
	maxMinute = 1 << 56
)

// Used is what was filled in the hour before now.
func (a *Account) Used(now time.Time) int64 {
	used := int64(0)
	for _, m := range a.Spent {
		if now.Sub(m.At) < counts {
			used += m.Bytes
		}
	}
	return used
}

// fits says whether need fits below limit. What is more than the limit itself
// fits when nothing else was filled for an hour.
func (a *Account) fits(need, limit int64, now time.Time) bool {
	return a.Used(now) <= limit-min(need, limit)
}

// when is the time at which need fits if nothing is filled until then.
func (a *Account) when(need, limit int64, now time.Time) time.Time {
	for _, m := range a.Spent {
		if a.fits(need, limit, now) {
			break
		}
		if forgotten := m.At.Add(counts); forgotten.After(now) {
			now = forgotten
		}
	}
	return now
}

// spend adds bytes to the minute of now. A negative number is what was not
// filled after all, of what was spent last.
func (a *Account) spend(bytes int64, now time.Time) {
	at := now.UTC().Truncate(time.Minute)
	if n := len(a.Spent); bytes > 0 && (n == 0 || a.Spent[n-1].At.Before(at)) {
		a.Spent = append(a.Spent, Minute{At: at})
	}
	for i := len(a.Spent) - 1; i >= 0 && bytes != 0; i-- {
		m := &a.Spent[i]
		sum := min(m.Bytes+bytes, maxMinute)
		m.Bytes = max(sum, 0)
		bytes = min(sum, 0)
	}
}

// tidy forgets what is old, and what cannot be: an account may have been written
// by anybody, with another clock.
func (a *Account) tidy(now time.Time) {
	a.Spent = slices.DeleteFunc(a.Spent, func(m Minute) bool {
		return m.Bytes <= 0 || m.Bytes > maxMinute || now.Sub(m.At) >= counts || m.At.Sub(now) >= counts
	})
	for i := range a.Spent {
		if a.Spent[i].At.After(now) {
			a.Spent[i].At = now.UTC().Truncate(time.Minute)
		}
	}
	slices.SortStableFunc(a.Spent, func(x, y Minute) int { return x.At.Compare(y.At) })
	if extra := len(a.Spent) - maxMinutes; extra > 0 {
		a.Spent = slices.Delete(a.Spent, 0, extra)
	}
}

// maxMinutes is how many minutes there can be.
const maxMinutes = int(counts/time.Minute) + 1
