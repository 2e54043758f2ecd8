package doctor

import (
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/rules"
)

// rules reads the rules file, and says which rule is for the target, if there
// is one.
func (d *doctor) rules() {
	if d.Config.Rules == "" {
		return
	}
	t := d.topic("rules")
	buckets, err := prestage.ParseBuckets(d.Config.Buckets)
	if err != nil { // the configuration is checked
		return
	}
	set, err := rules.Load(d.Config.Rules, buckets.Allow)
	if err != nil {
		t.fail("correct the file that PRESTAGE_RULES names: run would not start with it, and one that is running keeps what it held before", "%v", err)
		return
	}
	t.fine("%s has %d rules, of which the first that matches decides; %d sources", d.Config.Rules, len(set.Rules),
		len(set.Sources.HuggingFace)+len(set.Sources.WandB)+len(set.Sources.OCI))
	if d.Target.Bucket == "" {
		return
	}
	for _, text := range set.Explain("", d.Target.Bucket, d.Target.Key) {
		t.fine("%s, without a subject: %s", d.Target, text)
	}
}
