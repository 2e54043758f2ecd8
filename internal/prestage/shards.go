package prestage

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/prestage/prestage/internal/object"
)

// indexSuffix is how Hugging Face's index of a sharded model ends.
const indexSuffix = ".safetensors.index.json"

// maxRemembered bounds what the shardCheck of a listing holds.
const maxRemembered = 1_000_000

// isIndex says that a is to be read.
func isIndex(a object.Attrs) bool {
	return strings.HasSuffix(a.Key, indexSuffix) && a.Size <= maxManifestBytes
}

// shardCheck compares indexes with the listing that they are in. Most shards
// come before their index in a listing ("-" sorts before "."), so the keys that
// were seen are remembered, 8 bytes each.
type shardCheck struct {
	limit    int // of keys seen, and of keys expected
	seen     map[uint64]struct{}
	overflow string              // the first key that was not remembered
	expected map[string]struct{} // keys that an index names and nobody saw yet
}

func (c *shardCheck) saw(key string) {
	delete(c.expected, key)
	switch {
	case len(c.seen) < c.limit:
		if c.seen == nil {
			c.seen = make(map[uint64]struct{})
		}
		c.seen[shortHash(key)] = struct{}{}
	case c.overflow == "":
		c.overflow = key
	}
}

// expect notes what index names. Keys between the overflow and the index were
// seen or not: they are not held against anybody.
func (c *shardCheck) expect(index object.Ref, shards []object.Attrs) {
	for _, s := range shards {
		forgotten := c.overflow != "" && c.overflow <= s.Key && s.Key < index.Key
		if _, ok := c.seen[shortHash(s.Key)]; ok || forgotten || len(c.expected) >= c.limit {
			continue
		}
		if c.expected == nil {
			c.expected = make(map[string]struct{})
		}
		c.expected[s.Key] = struct{}{}
	}
}

// missing says what is not there, "" when nothing is.
func (c *shardCheck) missing() string {
	least := ""
	for key := range c.expected {
		if least == "" || key < least {
			least = key
		}
	}
	if least == "" {
		return ""
	}
	return fmt.Sprintf("%d files that an index names are missing, the first is %q", len(c.expected), least)
}

func shortHash(key string) uint64 {
	sum := sha256.Sum256([]byte(key))
	return binary.LittleEndian.Uint64(sum[:])
}
