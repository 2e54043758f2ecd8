package prestage

import (
	"errors"
	"fmt"
	"path"

	"github.com/prestage/prestage/internal/object"
)

// Buckets says which buckets may be touched. The zero value allows none.
type Buckets struct{ patterns []string }

// ParseBuckets reads globs as path.Match has them: "*", "ckpt-*", "models".
func ParseBuckets(globs []string) (Buckets, error) {
	if len(globs) == 0 {
		return Buckets{}, errors.New(`no bucket is allowed: want globs, "*" for all`)
	}
	for _, g := range globs {
		if err := object.CheckBucketGlob(g); err != nil {
			return Buckets{}, fmt.Errorf("bucket pattern %w", err)
		}
	}
	return Buckets{patterns: append([]string(nil), globs...)}, nil
}

// Allow says that bucket matches a pattern.
func (b Buckets) Allow(bucket string) bool {
	for _, p := range b.patterns {
		if ok, _ := path.Match(p, bucket); ok {
			return true
		}
	}
	return false
}
