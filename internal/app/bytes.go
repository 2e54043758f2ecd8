package app

import (
	"errors"
	"strconv"

	"github.com/dustin/go-humanize"
)

// Bytes is a number of bytes, as it is or with a unit: 10TiB, 500GB.
type Bytes int64

const wantBytes = "want a number of bytes, plain or with a unit, such as 10TiB or 500GB, at most 1EiB; unset: no limit"

// UnmarshalText reads a number of bytes, one at least.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n == 0 || n > 1<<60 {
		return errors.New(wantBytes)
	}
	*b = Bytes(n) //nolint:gosec // at most 1<<60
	return nil
}

// String is the plain number.
func (b Bytes) String() string { return strconv.FormatInt(int64(b), 10) }
