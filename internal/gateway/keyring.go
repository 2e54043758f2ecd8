package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"slices"
	"strings"
)

// Keyring holds the secrets of a route: fixed ones, and those of a file, one a
// line, which is read again when it changes.
type Keyring struct {
	fixed []string
	file  *live[[]string] // nil: there is none
}

// NewKeyring returns the secrets in fixed and in file, "" for none. The file has
// to be readable now; later its last content counts for as long as it is not.
// Empty secrets are left out: they would let in whoever sends none.
func NewKeyring(fixed []string, file string, log *slog.Logger) (*Keyring, error) {
	k := &Keyring{fixed: nonEmpty(fixed)}
	if file == "" {
		return k, nil
	}
	var err error
	k.file, err = newLive(func(contents [][]byte) ([]string, error) {
		return nonEmpty(strings.Split(string(contents[0]), "\n")), nil
	}, log, file)
	return k, err
}

func nonEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Given says that there are secrets, or a file that is to have some.
func (k *Keyring) Given() bool { return k != nil && (len(k.fixed) > 0 || k.file != nil) }

// Secrets are those that count now.
func (k *Keyring) Secrets(ctx context.Context) []string {
	switch {
	case k == nil:
		return nil
	case k.file == nil:
		return k.fixed
	default:
		return append(slices.Clip(k.file.get(ctx)), k.fixed...)
	}
}

// anyMatches says that given is what want makes of one of secrets. How long that
// takes tells nothing of a secret but its length.
func anyMatches(secrets []string, given string, want func(secret string) string) bool {
	have := sha256.Sum256([]byte(given))
	found := 0
	for _, s := range secrets {
		sum := sha256.Sum256([]byte(want(s)))
		found |= subtle.ConstantTimeCompare(have[:], sum[:])
	}
	return found == 1
}
