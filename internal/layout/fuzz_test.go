package layout

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzKeys: whatever a key is, no claim leaves the place where the key is, none is
// a whole bucket, and nothing panics.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{
		"r/step-1/.metadata", "r/ck-unfinished", "r/5.orbax-checkpoint-tmp-1/d/x", "r/latest", "latest", "a//b/.metadata", "/.metadata",
		"r/iter_0000001/metadata.json", "m/model-00001-of-00002.safetensors", "r/epoch_0_step_1/.incomplete", "checkpoint-1/x", "../latest", "LATEST", "\xff/.metadata",
	} {
		f.Add(key, "global_step1", "dcp")
	}
	f.Fuzz(func(t *testing.T, key, text, name string) {
		named, _ := Parse(name)
		Temporary(key)
		Awaits(key, named)
		KeepServe.Wants(key)
		KeepRestore.Wants(key)
		for _, c := range append(Claims(key, named), Removals(key, named)...) {
			if c.Tracker != "" {
				to, err := c.Named([]byte(text))
				if err != nil {
					if !utf8.ValidString(err.Error()) || strings.Contains(err.Error(), "\n") {
						t.Fatalf("error %q", err)
					}
					continue
				}
				dir, _ := split(c.Tracker)
				rest, below := strings.CutPrefix(to.Prefix, dir)
				if !below || strings.Count(rest, "/") != 1 || rest == "/" || rest == "../" || rest == "./" {
					t.Fatalf("%q says %q: %q", c.Tracker, text, to.Prefix)
				}
				c = to
			}
			stem, _, _ := strings.Cut(key, orbaxTemporary)
			stem = strings.TrimSuffix(stem, unfinished)
			if c.Prefix == "" || !strings.HasSuffix(c.Prefix, "/") || c.Tracker == "" && text == "" && !strings.HasPrefix(key, c.Prefix) && stem+"/" != c.Prefix {
				t.Fatalf("%q claims %q", key, c.Prefix)
			}
			check := c.Check(true)
			check.Before()
			check.See(key)
			check.After()
			check.Missing()
		}
	})
}

// FuzzCheck: whatever a listing and the texts beside it hold, the same comes out
// twice, as one line.
func FuzzCheck(f *testing.F) {
	f.Add("r/step-1/", ".metadata\n__0_0.distcp", "x", "")
	f.Add("r/iter_0000001/", "mp_rank_00/model_optim_rng.pt", "1", "megatron")
	f.Add("r/5/", "_CHECKPOINT_METADATA\nd/x", `{"commit_timestamp_nsecs":1}`, "orbax")
	f.Add("r/5/", "_CHECKPOINT_METADATA\nd/x", strings.Repeat("[", 1000), "")
	f.Add("m/", "model-00001-of-00002.bin\nmodel-99999999999999999999-of-1.bin\nmodel-1-of-999999999999999999.bin", "", "hf")
	f.Fuzz(func(t *testing.T, prefix, keys, text, name string) {
		named, _ := Parse(name)
		judge := func() (Format, string) {
			c := NewCheck(named, prefix)
			for _, l := range c.Before() {
				c.Answer(l, strings.Contains(text, "!"), nil)
			}
			for key := range strings.SplitSeq(keys, "\n") {
				c.See(prefix + key)
			}
			for _, l := range c.After() {
				c.Answer(l, l.Text != "", []byte(text))
			}
			return c.Format(), c.Missing()
		}
		f, missing := judge()
		if g, again := judge(); g != f || again != missing {
			t.Fatalf("%q, %q, then %q, %q", f, missing, g, again)
		}
		if f == "" && missing != "" || !utf8.ValidString(missing) || strings.ContainsAny(missing, "\n\r\x00") || len(missing) > 4096 {
			t.Fatalf("%q: missing %q", f, missing)
		}
	})
}
