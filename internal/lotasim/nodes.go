package lotasim

import (
	"fmt"
	"strings"

	"github.com/prestage/prestage/internal/object"
)

// allNodes stands for the place of an object that has a part on each node.
const allNodes = -1

// place is the node that keeps an object: one, drawn from the seed, for an
// object that was written in one piece, all for one of several parts, whose ETag
// ends in "-" and their number.
func (s *Sim) place(ref object.Ref, etag string) int {
	if strings.Contains(etag, "-") {
		return allNodes
	}
	return int(draw(s.seed, "node", ref, 0) * float64(s.opts.Nodes))
}

// LoseNode empties node (from 0) as its loss does, and replaces it at once: every
// object with a share on it is cold, since pre-staging knows whole objects only.
// With Options.RefillLost LOTA fills them again by itself. It tells how many
// were lost.
func (s *Sim) LoseNode(node int) (int, error) {
	if node < 0 || node >= s.opts.Nodes {
		return 0, fmt.Errorf("node %d: must be 0 to %d", node, s.opts.Nodes-1)
	}
	var lost []fillOrder
	c := s.cache
	c.mu.Lock()
	for _, e := range c.all() {
		if e.node == node || e.node == allNodes {
			lost = append(lost, fillOrder{name: e.name, v: e.version})
			c.drop(e)
		}
	}
	c.mu.Unlock()
	if s.opts.RefillLost {
		for _, o := range lost {
			s.fill(o)
		}
	}
	return len(lost), nil
}
