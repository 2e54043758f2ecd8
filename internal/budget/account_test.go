package budget

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func minute(n int, bytes int64) Minute {
	return Minute{At: noon.Add(time.Duration(n) * time.Minute), Bytes: bytes}
}

func TestAccountFits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spent []Minute
		need  int64
		fits  bool
		when  time.Time
	}{
		"nothing spent":          {nil, 100, true, noon},
		"more than the limit":    {nil, 150, true, noon},
		"more, behind something": {[]Minute{minute(-10, 1)}, 150, false, noon.Add(51 * time.Minute)},
		"just":                   {[]Minute{minute(-10, 60)}, 40, true, noon},
		"one byte too many":      {[]Minute{minute(-10, 60)}, 41, false, noon.Add(51 * time.Minute)},
		"the first is enough":    {[]Minute{minute(-20, 30), minute(-10, 60)}, 40, false, noon.Add(41 * time.Minute)},
		"both must go":           {[]Minute{minute(-20, 30), minute(-10, 60)}, 100, false, noon.Add(51 * time.Minute)},
		"an hour ago":            {[]Minute{minute(-60, 100)}, 1, false, noon.Add(time.Minute)},
		"longer ago":             {[]Minute{minute(-61, 100)}, 100, true, noon},
		"beyond the limit":       {[]Minute{minute(-10, 500)}, 0, false, noon.Add(51 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := Account{Spent: tt.spent}
			if got := a.fits(tt.need, 100, noon); got != tt.fits {
				t.Errorf("fits: %v", got)
			}
			if got := a.when(tt.need, 100, noon); !got.Equal(tt.when) {
				t.Errorf("when: %v, want %v", got, tt.when)
			}
		})
	}
}

func TestAccountSpend(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spent, want []Minute
		bytes       int64
	}{
		"the first":              {nil, []Minute{minute(0, 5)}, 5},
		"in the same minute":     {[]Minute{minute(0, 1)}, []Minute{minute(0, 6)}, 5},
		"in a later one":         {[]Minute{minute(-3, 1)}, []Minute{minute(-3, 1), minute(0, 5)}, 5},
		"given back":             {[]Minute{minute(-3, 9)}, []Minute{minute(-3, 4)}, -5},
		"of two minutes":         {[]Minute{minute(-3, 9), minute(0, 2)}, []Minute{minute(-3, 6), minute(0, 0)}, -5},
		"more than there was":    {[]Minute{minute(-3, 1)}, []Minute{minute(-3, 0)}, -5},
		"nothing":                {nil, nil, 0},
		"more than is believed":  {[]Minute{minute(0, 1)}, []Minute{minute(0, maxMinute)}, maxMinute},
		"nothing to give it off": {nil, nil, -5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := Account{Spent: tt.spent}
			a.spend(tt.bytes, noon.Add(59*time.Second))
			if diff := cmp.Diff(tt.want, a.Spent); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccountTidy(t *testing.T) {
	t.Parallel()
	a := Account{Spent: []Minute{
		minute(2, 3), minute(-5, 1), minute(-61, 9), minute(-60, 2), minute(0, -1), minute(0, 0), minute(61, 9),
		minute(-1, math.MaxInt64),
	}}
	a.tidy(noon)
	want := []Minute{minute(-60, 2), minute(-5, 1), minute(0, 3)} // a clock that is ahead
	if diff := cmp.Diff(want, a.Spent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for n := range 1000 {
		a.Spent = append(a.Spent, minute(-n%50, 1))
	}
	a.tidy(noon)
	if n := len(a.Spent); n != maxMinutes {
		t.Errorf("%d minutes are kept", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"limit":100,"spent":[{"at":"2026-11-25T11:59:00Z","bytes":60}],"waits":"2026-11-25T12:59:00Z"}`), int64(5), int64(100))
	f.Add([]byte(`{"spent":[{"at":"9999-11-25T11:59:00Z","bytes":-1},{"bytes":9223372036854775807}]}`), int64(-5), int64(1))
	f.Add([]byte(`{`), int64(0), int64(1))
	f.Fuzz(func(t *testing.T, data []byte, bytes, limit int64) {
		a, err := Parse(data)
		if err != nil || limit <= 0 {
			return
		}
		a.tidy(noon)
		a.spend(min(bytes, maxMinute), noon)
		used := a.Used(noon)
		if used < 0 || len(a.Spent) > maxMinutes+1 {
			t.Fatalf("%d used in %d minutes", used, len(a.Spent))
		}
		need := max(bytes, 0)
		if at := a.when(need, limit, noon); at.Before(noon) || at.Sub(noon) > counts || !a.fits(need, limit, at) {
			t.Fatalf("%d of %d fit at %v: %+v", need, limit, at, a)
		}
	})
}
