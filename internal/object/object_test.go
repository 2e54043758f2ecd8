package object

import (
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseURI(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", MaxKeyBytes)
	for uri, want := range map[string]Ref{
		"s3://ckpt/a":                {"ckpt", "a"},
		"cw://ckpt/a":                {"ckpt", "a"},
		"S3://ckpt/a":                {"ckpt", "a"},
		"s3://ckpt":                  {"ckpt", ""},
		"s3://ckpt/":                 {"ckpt", ""},
		"s3://ckpt/a/b/":             {"ckpt", "a/b/"},
		"s3://ckpt//a":               {"ckpt", "/a"},
		"s3://ckpt/a/../b":           {"ckpt", "a/../b"},
		"s3://ckpt/a?b#c%2Fd+e@f:g":  {"ckpt", "a?b#c%2Fd+e@f:g"},
		"s3://ckpt/\x20":             {"ckpt", " "},
		"s3://ckpt/s3://ckpt/a":      {"ckpt", "s3://ckpt/a"},
		"s3://ckpt/é€\U0001F600\x01": {"ckpt", "é€\U0001F600\x01"},
		"s3://a-1/" + long:           {"a-1", long},
	} {
		got, err := ParseURI(uri)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", uri, got, err)
		}
	}
	for uri, want := range map[string]string{
		"":                           "not an object URI",
		"ckpt/a":                     "not an object URI",
		"/ckpt/a":                    "not an object URI",
		"s3:/ckpt/a":                 "not an object URI",
		"https://ckpt.cwlota.com/a":  "not an object URI",
		"gs://ckpt/a":                "not an object URI",
		"s3://":                      "bucket name of 0 characters",
		"s3:///a":                    "bucket name of 0 characters",
		"s3://id:hush@ckpt/a":        "leave out credentials",
		"s3://hush@ckpt/a":           "leave out credentials",
		"s3://ckpt:9000/a":           "leave out credentials and ports",
		"s3://my.bucket/a":           "only a-z, 0-9 and -",
		"s3://CKPT/a":                "only a-z, 0-9 and -",
		"s3://ckpt?x/a":              "only a-z, 0-9 and -",
		"s3://ckpt/\xff":             "not valid UTF-8",
		"s3://ckpt/a\x00b":           "contains a NUL",
		"s3://ckpt/" + long + "k":    "key of 1025 bytes",
		"s3://" + long + "/" + "key": "bucket name of 1024 characters",
	} {
		got, err := ParseURI(uri)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %+v, %v, want %q", uri, got, err, want)
		}
	}
}

func TestCheckBucket(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"abc": "", "a-b": "", "123": "", "int1": "", "cw": "2 characters", "xn-a": "", "a--b": "", strings.Repeat("a", 63): "",
		"ab": "2 characters", strings.Repeat("a", 64): "64 characters",
		"a_b": "only a-z", "a.b": "only a-z", "A-b": "only a-z", "a b": "only a-z", "a/b": "only a-z", "a\nb": "only a-z", "äbc": "only a-z",
		"-ab": "must start and end", "ab-": "must start and end",
		"int": "reserved", "xn--a": "reserved", "cw-a": "reserved", "vip-a": "reserved", "log-stitcher-ch-a": "reserved",
	} {
		err := CheckBucket(name)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line: %q", name, err)
		}
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"a": "", " ": "", "/": "", "..": "", "a\nb": "", strings.Repeat("€", 341): "",
		"": "empty key", strings.Repeat("€", 342): "key of 1026 bytes", "\xc3": "UTF-8", "\x00": "NUL",
	} {
		err := CheckKey(key)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", key, err, want)
		}
	}
}

func TestRef(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ref    Ref
		prefix bool
		ok     bool
	}{
		{Ref{"ckpt", "a"}, false, true},
		{Ref{"ckpt", "a/"}, true, true},
		{Ref{"ckpt", ""}, true, false},
		{Ref{"", "a"}, false, false},
		{Ref{}, true, false},
	} {
		if got := tt.ref.IsPrefix(); got != tt.prefix {
			t.Errorf("%+v is a prefix: %v", tt.ref, got)
		}
		if err := tt.ref.Check(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.ref, err)
		}
	}
}

func TestTrimETag(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"": "", "abc": "abc", `"abc"`: "abc", `"abc-3"`: "abc-3", `W/"abc"`: "abc", `""`: "", "W": "W", "Wabc": "Wabc",
	} {
		if got := TrimETag(s); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func TestNewSequencer(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]Sequencer{
		"":                                      {},
		"0055AED6DCD90281E5":                    {"aws:s3", "55AED6DCD90281E5"},
		"17a3f":                                 {"aws:s3", "17A3F"},
		"0":                                     {"aws:s3", "0"},
		"0000":                                  {"aws:s3", "0"},
		strings.Repeat("F", MaxSequencerDigits): {"aws:s3", strings.Repeat("F", MaxSequencerDigits)},
	} {
		got, err := NewSequencer("aws:s3", value)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v, %s", value, err, diff)
		}
	}
	for _, value := range []string{"g", "0x1", "-1", " 1", "1 ", "١", "1\n", strings.Repeat("0", MaxSequencerDigits+1)} {
		if got, err := NewSequencer("aws:s3", value); err == nil || strings.Contains(err.Error(), "\n") || got != (Sequencer{}) {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
}

func TestSequencerCompare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b  Sequencer
		order int
		ok    bool
	}{
		{Sequencer{"s", "1"}, Sequencer{"s", "2"}, -1, true},
		{Sequencer{"s", "2"}, Sequencer{"s", "1"}, 1, true},
		{Sequencer{"s", "9"}, Sequencer{"s", "A"}, -1, true},
		{Sequencer{"s", "10"}, Sequencer{"s", "F"}, 1, true},
		{Sequencer{"s", "F"}, Sequencer{"s", "10"}, -1, true},
		{Sequencer{"s", "F"}, Sequencer{"s", "F"}, 0, true},
		{Sequencer{"s", "1"}, Sequencer{"t", "2"}, 0, false},
		{Sequencer{"s", "1"}, Sequencer{}, 0, false},
		{Sequencer{}, Sequencer{}, 0, false},
		{Sequencer{"s", ""}, Sequencer{"s", "1"}, 0, false},
	} {
		if order, ok := tt.a.Compare(tt.b); order != tt.order || ok != tt.ok {
			t.Errorf("%+v and %+v: %d, %v", tt.a, tt.b, order, ok)
		}
	}
}

// FuzzParseURI: what is accepted is legal, and its own URI means the same.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{"s3://ckpt/a", "cw://ckpt/a/", "s3://ckpt", "s3://u:p@ckpt/a", "s3://ckpt/\xff", "s3://cw-a/b", "s3:////", "S3://abc/?#%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		r, err := ParseURI(uri)
		if err != nil {
			if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("error %q", err)
			}
			return
		}
		if err := CheckBucket(r.Bucket); err != nil {
			t.Error(err)
		}
		if r.Key != "" && r.Check() != nil {
			t.Error(r.Check())
		}
		if !strings.HasSuffix(uri, r.Key) {
			t.Errorf("the key %q is not as it stands in %q", r.Key, uri)
		}
		again, err := ParseURI(r.String())
		if err != nil || again != r {
			t.Errorf("%q: %+v, then %+v, %v", uri, r, again, err)
		}
	})
}

// FuzzSequencer: sequencers order as the numbers that they are.
func FuzzSequencer(f *testing.F) {
	f.Add("0055AED6DCD90281E5", "55aed6dcd90281e6")
	f.Add("0", "00")
	f.Add("F", "10")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := NewSequencer("s", a)
		y, errY := NewSequencer("s", b)
		if errX != nil || errY != nil {
			return
		}
		order, ok := x.Compare(y)
		if ok != (a != "" && b != "") {
			t.Fatalf("%q and %q compare: %v", a, b, ok)
		}
		if !ok {
			return
		}
		nx, okX := new(big.Int).SetString(a, 16)
		ny, okY := new(big.Int).SetString(b, 16)
		if !okX || !okY || order != nx.Cmp(ny) {
			t.Errorf("%q and %q: %d", a, b, order)
		}
		if back, _ := y.Compare(x); back != -order {
			t.Errorf("%q and %q: %d, and %d the other way round", a, b, order, back)
		}
	})
}
