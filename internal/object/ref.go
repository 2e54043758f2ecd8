package object

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// MaxKeyBytes is S3's limit for a key (CoreWeave documents none of its own).
const MaxKeyBytes = 1024

// Ref names an object, or a prefix when its key ends in "/" or is empty.
type Ref struct {
	Bucket string
	Key    string
}

// ParseURI reads "s3://bucket/key" or "cw://bucket/key". The key may be empty
// or end in "/"; Check and IsPrefix tell which. The error never repeats what
// could be a credential.
func ParseURI(uri string) (Ref, error) {
	rest, ok := cutScheme(uri)
	if !ok {
		return Ref{}, errors.New(`not an object URI: want "s3://bucket/key" or "cw://bucket/key"`)
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(bucket, "@:") {
		return Ref{}, errors.New("a URI names a bucket, not a host: leave out credentials and ports")
	}
	r := Ref{Bucket: bucket, Key: key}
	if err := CheckBucket(bucket); err != nil {
		return Ref{}, err
	}
	if key == "" {
		return r, nil
	}
	return r, CheckKey(key)
}

func cutScheme(uri string) (string, bool) {
	for _, scheme := range []string{"s3://", "cw://"} {
		if len(uri) >= len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme) {
			return uri[len(scheme):], true
		}
	}
	return "", false
}

// IsPrefix says that r names everything below it rather than one object.
func (r Ref) IsPrefix() bool { return r.Key == "" || strings.HasSuffix(r.Key, "/") }

// Check says what is wrong with r, if anything.
func (r Ref) Check() error {
	if err := CheckBucket(r.Bucket); err != nil {
		return err
	}
	return CheckKey(r.Key)
}

// String is the URI with the s3 scheme.
func (r Ref) String() string { return "s3://" + r.Bucket + "/" + r.Key }

// CheckKey says why key is no legal object key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("empty key")
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("key of %d bytes: at most %d are legal", len(key), MaxKeyBytes)
	case !utf8.ValidString(key):
		return errors.New("key is not valid UTF-8")
	case strings.ContainsRune(key, 0):
		return errors.New("key contains a NUL")
	}
	return nil
}

// CheckBucket says why name can be no bucket of CoreWeave AI Object Storage.
// The rules are its documented ones; a name that breaks them would also make
// an S3 client fall back to path-style requests, which LOTA refuses, or leave
// the endpoint's domain.
func CheckBucket(name string) error {
	if len(name) < 3 || len(name) > 63 {
		return fmt.Errorf("bucket name of %d characters: 3 to 63 are legal", len(name))
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("bucket name %q: only a-z, 0-9 and - are legal", name)
		}
	}
	if name[0] == '-' || name[len(name)-1] == '-' {
		return fmt.Errorf("bucket name %q: must start and end with a letter or digit", name)
	}
	if name == "int" {
		return errors.New(`bucket name "int" is reserved`)
	}
	for _, p := range []string{"xn--", "cw-", "vip-", "log-stitcher-ch-"} {
		if strings.HasPrefix(name, p) {
			return fmt.Errorf("bucket name %q: the prefix %q is reserved", name, p)
		}
	}
	return nil
}

// CheckBucketGlob says why glob, as path.Match has them, can match no bucket.
func CheckBucketGlob(glob string) error {
	if _, err := path.Match(glob, ""); err != nil || glob == "" {
		return fmt.Errorf(`%q is not a glob: want something like "ckpt-*"`, glob)
	}
	if strings.ContainsFunc(glob, foreign) {
		return fmt.Errorf(`%q matches no bucket, a name has only a-z, 0-9 and -: want something like "ckpt-*", no URI`, glob)
	}
	return nil
}

// foreign says that c is in no bucket's name and has no meaning in a glob.
func foreign(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(`-*?[]^\`, c)
}
