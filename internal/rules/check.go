package rules

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// place finds the node of a key, for an error that is found after decoding.
type place struct{ root *yaml.Node }

// at follows mapping keys (string) and list indexes (int). What is not there is
// told at the last place that is.
func (p place) at(path ...any) *yaml.Node {
	n := p.root
	for _, step := range path {
		next := n
		switch step := step.(type) {
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				next = n.Content[step]
			}
		case string:
			for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next = n.Content[i+1]
				}
			}
		}
		n = next
	}
	return n
}

// check is for what one value alone does not tell.
func (s *Set) check(p place, allow func(bucket string) bool) error {
	names := map[string]int{}
	for i := range s.Rules {
		r := &s.Rules[i]
		key := fmt.Sprintf("rules[%d]", i)
		if first, ok := names[r.Name]; ok {
			return wrong(p.at("rules", i, "name"), key+".name", "%q is the name of rules[%d] already", r.Name, first)
		}
		names[r.Name] = i
		if r.MaxBytes > 0 && r.MinBytes != nil && *r.MinBytes >= r.MaxBytes {
			return wrong(p.at("rules", i, "max_bytes"), key+".max_bytes", "%d: want more than min_bytes, %d", r.MaxBytes, *r.MinBytes)
		}
		if m := r.Match; len(m.Subjects)+len(m.Buckets)+len(m.Prefixes) == 0 && i < len(s.Rules)-1 {
			return wrong(p.at("rules", i+1), fmt.Sprintf("rules[%d]", i+1), "never has its turn: %s, which comes first, matches everything", key)
		}
		if r.WholeBucket && (len(r.Match.Buckets) == 0 || len(r.Match.Prefixes) > 0) {
			return wrong(p.at("rules", i, "whole_bucket"), key+".whole_bucket", "want match.buckets to name the buckets, and no match.prefixes")
		}
	}
	for i, m := range s.Sources.HuggingFace {
		if err := allowed(p, allow, m.URI, "huggingface", i, "uri"); err != nil {
			return err
		}
	}
	for i, m := range s.Sources.WandB {
		if err := allowed(p, allow, m.URI, "wandb", i, "uri"); err != nil {
			return err
		}
	}
	for i, m := range s.Sources.OCI {
		if err := allowed(p, allow, m.Root, "oci", i, "root"); err != nil {
			return err
		}
	}
	return nil
}

// allowed says that the bucket of a source may be touched.
func allowed(p place, allow func(bucket string) bool, uri, list string, i int, key string) error {
	if bucket := bucketOf(uri); !allow(bucket) {
		return wrong(p.at("sources", list, i, key), fmt.Sprintf("sources.%s[%d].%s", list, i, key),
			"bucket %q is outside PRESTAGE_BUCKETS", bucket)
	}
	return nil
}
