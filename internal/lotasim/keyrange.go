package lotasim

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// keyRange is n objects that differ only in a number of fixed width, so that
// the order of their numbers is that of their keys.
type keyRange struct {
	before, after string
	width         int
	n             int
	item          item
}

var rangeVerb = regexp.MustCompile(`%0([1-9])d`)

func newKeyRange(format string, n int, it item) (keyRange, error) {
	at := rangeVerb.FindAllStringSubmatchIndex(format, -1)
	if len(at) != 1 {
		return keyRange{}, fmt.Errorf("format %q of a key range: want one %%0Nd, N from 1 to 9", format)
	}
	m := at[0]
	r := keyRange{before: format[:m[0]], after: format[m[1]:], width: int(format[m[2]] - '0'), n: n, item: it}
	if n < 1 || len(strconv.Itoa(n-1)) > r.width {
		return keyRange{}, fmt.Errorf("%d objects in a key range of %d digits: want at least 1, and no more than fit", n, r.width)
	}
	return r, nil
}

func (r keyRange) key(i int) string {
	digits := strconv.Itoa(i)
	return r.before + strings.Repeat("0", r.width-len(digits)) + digits + r.after
}

func (r keyRange) has(key string) bool {
	digits, ok := strings.CutPrefix(key, r.before)
	if !ok {
		return false
	}
	if digits, ok = strings.CutSuffix(digits, r.after); !ok || len(digits) != r.width {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	i, err := strconv.Atoi(digits)
	return err == nil && i < r.n
}

// first is the smallest key of the range that is not less than from.
func (r keyRange) first(from string) (string, bool) {
	i := sort.Search(r.n, func(i int) bool { return r.key(i) >= from })
	if i == r.n {
		return "", false
	}
	return r.key(i), true
}
