package prestage

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Buckets says which buckets may be touched. The zero value allows none.
type Buckets struct{ patterns []string }

// ParseBuckets reads globs as path.Match has them: "*", "ckpt-*", "models".
func ParseBuckets(globs []string) (Buckets, error) {
	if len(globs) == 0 {
		return Buckets{}, errors.New(`no bucket is allowed: want globs, "*" for all`)
	}
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil || g == "" {
			return Buckets{}, fmt.Errorf(`bucket pattern %q is not a glob: want something like "ckpt-*"`, g)
		}
		if strings.ContainsFunc(g, foreign) {
			return Buckets{}, fmt.Errorf(`bucket pattern %q matches no bucket, a name has only a-z, 0-9 and -: want something like "ckpt-*", no URI`, g)
		}
	}
	return Buckets{patterns: append([]string(nil), globs...)}, nil
}

// foreign says that c is in no bucket's name (object.CheckBucket) and has no
// meaning in a glob.
func foreign(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(`-*?[]^\`, c)
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
