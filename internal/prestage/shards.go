package prestage

import (
	"fmt"

	"github.com/prestage/prestage/internal/layout"
	"github.com/prestage/prestage/internal/object"
)

// isIndex says that a is to be read.
func isIndex(a object.Attrs) bool { return layout.IsIndex(a.Key) && a.Size <= maxManifestBytes }

// shardCheck compares indexes with the listing that they are in. Most shards
// come before their index in a listing ("-" sorts before "."), so the keys that
// were seen are remembered.
type shardCheck struct {
	limit    int // of keys seen, and of keys expected
	room     *room
	seen     markSet
	overflow string              // the first key that was not remembered
	expected map[string]struct{} // keys that an index names and nobody saw yet; not more than one may name
}

func (c *shardCheck) saw(key string) {
	delete(c.expected, key)
	switch {
	case c.overflow == "" && c.seen.n < c.limit && c.room.take():
		c.seen.add(shortHash([]byte(key)), told)
	case c.overflow == "":
		c.overflow = key
	}
}

// expect notes what index names. Keys between the overflow and the index were
// seen or not: they are not held against anybody.
func (c *shardCheck) expect(index object.Ref, shards []object.Attrs) {
	for _, s := range shards {
		forgotten := c.overflow != "" && c.overflow <= s.Key && s.Key < index.Key
		if forgotten || c.seen.get(shortHash([]byte(s.Key))) != 0 || len(c.expected) >= min(c.limit, maxManifestFiles) {
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

// done frees the room.
func (c *shardCheck) done() { c.room.give(c.seen.n) }
