package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/replay"
)

func TestReplayUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--since yesterday":                 `--since "yesterday": want a time such as`,
		"--until=-5m":                       "--until",
		"--since 1h --from-seq 3":           "exclude each other",
		"--until 1h --to-seq 3":             "exclude each other",
		"--from-seq 4 --to-seq 3":           "to-seq 3 is before",
		"--since 1h --until 2h":             "is before since",
		"--prefix a":                        "needs its bucket",
		"--latest=-1":                       "latest",
		"--name a.b":                        `--name "a.b": want letters`,
		"--name dry":                        "not dry",
		"--rate=-1":                         "positive",
		"--subject a..b":                    `--subject: "a..b" is no subject`,
		"--subject a.*.c --subject a.b.*":   "--subject: a.*.c and a.b.* have messages in common",
		"--max-bytes=-1":                    "positive",
		"--cluster a.b":                     `PRESTAGE_CLUSTER="a.b"`,
		"--concurrency 20000":               "PRESTAGE_CONCURRENCY",
		"--retry-failed /no/such/file":      "/no/such/file",
		"--retry-failed replay_test.go":     "replay_test.go:1: no line of failures",
		"--from-list replay_test.go":        "replay_test.go: line 1: neither a URI",
		"--from-list main.go --run a":       "--run chooses events",
		"--retry-failed main.go --latest 2": "--latest chooses events",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := program(nil, append([]string{"replay"}, strings.Fields(args)...)...)
			if code != exitUsage || stdout != "" {
				t.Errorf("exit %d, %q", code, stdout)
			}
			oneLine(t, stderr, want)
		})
	}
}

// TestReplayPartlyFails: events, and objects of a list, that end as failures are
// told from a replay that failed.
func TestReplayPartlyFails(t *testing.T) {
	s := newShell(t)
	ns := natstest.Start(t)
	js := ns.JetStream(t)
	const subject = "events.checkpoint.written"
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{subject}}); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{`{"uri":"s3://ckpt/run/a"}`, `{"uri":"s3://elsewhere/b"}`} {
		if _, err := js.Publish(t.Context(), subject, []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"NATS_URL=" + ns.URL(), "PRESTAGE_BUCKETS=ckpt"}
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	if err := os.WriteFile(list, []byte("s3://ckpt/run/a\ns3://elsewhere/b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code int
		args []string
	}{
		{exitPartly, nil},
		{exitDone, []string{"--to-seq=1"}},
		{exitPartly, []string{"--from-list=" + list}},
	} {
		args := append([]string{"replay", "--failures=" + filepath.Join(dir, "failed")}, tt.args...)
		if code, stdout, stderr := s.run("", environ, args...); code != tt.code {
			t.Errorf("%q: exit %d, want %d: %s%s", tt.args, code, tt.code, stdout, stderr)
		}
	}
	if n := s.ranged(); n != 1 {
		t.Errorf("%d ranged HEADs, want one: what is warm is not asked for again", n)
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"24h": now.Add(-24 * time.Hour), "2026-11-20": time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
		"2026-11-20T10:00:00+01:00": time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), "": {},
	} {
		if got, counted, err := instant("--since", s, now); err != nil || !got.Equal(want) || counted != (s == "24h") {
			t.Errorf("%q: %s, %t, %v", s, got, counted, err)
		}
	}
}

func TestParseList(t *testing.T) {
	t.Parallel()
	attrs := func(key string, size int64, etag string) object.Attrs {
		return object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: key}, Size: size, Version: object.Version{ETag: etag}}
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte("s3://ckpt/zipped\n"))
	_ = z.Close()
	for name, tt := range map[string]struct {
		text string
		want []object.Attrs
		err  string
	}{
		"URIs":           {"s3://ckpt/a\r\n\n cw://ckpt/b,c \n", []object.Attrs{attrs("a", -1, ""), attrs("b,c", -1, "")}, ""},
		"an inventory":   {"\"ckpt\",\"a%20b+c%2B\",\"17\"\n", []object.Attrs{attrs("a b c+", 17, "")}, ""},
		"no size":        {"ckpt,a,v1\nckpt,b\n", []object.Attrs{attrs("a", -1, ""), attrs("b", -1, "")}, ""},
		"named columns":  {"Key,Bucket,Last Modified,ETag,Size\na,ckpt,x,\"\"\"e1\"\"\",9\n", []object.Attrs{attrs("a", 9, "e1")}, ""},
		"versions":       {"\"ckpt\",\"a\",\"v2\",\"true\",\"false\",\"17\"\nckpt,a,7,false,false,3\nckpt,b,v9,true,true,\n", []object.Attrs{attrs("a", 17, "")}, ""},
		"named versions": {"Bucket,Key,VersionId,IsLatest,IsDeleteMarker,Size\nckpt,a,1,FALSE,FALSE,9\nckpt,a,2,TRUE,FALSE,8\n", []object.Attrs{attrs("a", 8, "")}, ""},
		"gzip":           {zipped.String(), []object.Attrs{attrs("zipped", -1, "")}, ""},
		"no key":         {"s3://ckpt/a\nckpt\n", []object.Attrs{attrs("a", -1, "")}, "line 2: neither a URI nor a row"},
		"a bad escape":   {"ckpt,%zz\n", nil, "line 1: key"},
		"a bad bucket":   {"CKPT,a\n", nil, "line 1: bucket name"},
		"an open quote":  {"\"ckpt,a\n", nil, "line 1"},
		"a long line":    {"ckpt," + strings.Repeat("a", 1<<17) + "\n", nil, "longer than"},
		"credentials":    {"s3://id:hush@ckpt/a\n", nil, "credentials"},
		"half a gzip":    {zipped.String()[:12], nil, "EOF"},
		"nothing at all": {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []object.Attrs
			err := parseList(strings.NewReader(tt.text), func(a object.Attrs) error {
				got = append(got, a)
				return nil
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) || (err != nil && strings.Contains(err.Error(), "hush")) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("s3://ckpt/a\nckpt,b,3\n")
	f.Add("Bucket,Key,Size\nckpt,\"a b\",3\n")
	f.Add("\x1f\x8b\b")
	f.Fuzz(func(t *testing.T, text string) {
		_ = parseList(strings.NewReader(text), func(a object.Attrs) error {
			if err := object.CheckBucket(a.Bucket); err != nil || a.Size < object.UnknownSize || len(a.Key) > object.MaxKeyBytes {
				t.Errorf("%+v: %v", a, err)
			}
			return nil
		})
	})
}

func TestParseFailures(t *testing.T) {
	t.Parallel()
	stored := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		text string
		want failures
		err  string
	}{
		"events":         {`{"replay":"a","stream":"EVENTS","seq":7}` + "\n\n" + `{"replay":"b","stream":"EVENTS","seq":3,"stream_time":"2026-11-20T10:00:00Z"}` + "\n" + `{"replay":"a","stream":"EVENTS","seq":7}`, failures{events: []replay.Place{{Seq: 3, Time: stored}, {Seq: 7}}, names: []string{"a", "b"}}, ""},
		"objects":        {`{"replay":"a","uri":"s3://ckpt/a"}`, failures{objects: []object.Ref{{Bucket: "ckpt", Key: "a"}}, names: []string{"a"}}, ""},
		"both":           {`{"uri":"s3://ckpt/a"}` + "\n" + `{"stream":"EVENTS","seq":7}`, failures{}, "split it"},
		"another stream": {`{"stream":"OTHER","seq":7}`, failures{}, `f:1: of the stream "OTHER"`},
		"neither":        {`{}`, failures{}, "f:1: names neither"},
		"nothing":        {"\n", failures{}, "names nothing"},
		"a bad URI":      {`{"uri":"s3://id:hush@ckpt/a"}`, failures{}, "f:1: "},
		"a number":       {`{"stream":"EVENTS","seq":-7}`, failures{}, "f:1: no line of failures"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseFailures(strings.NewReader(tt.text), "f", "EVENTS")
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(failures{})); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func FuzzParseFailures(f *testing.F) {
	f.Add(`{"replay":"a","stream":"EVENTS","seq":7}` + "\n" + `{"uri":"s3://ckpt/a"}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFailures(strings.NewReader(text), "f", "EVENTS")
		if err == nil && (len(got.events) == 0) == (len(got.objects) == 0) {
			t.Errorf("%q: %+v", text, got)
		}
		for i := 1; i < len(got.events) && err == nil; i++ {
			if a, b := got.events[i-1], got.events[i]; b.Seq < a.Seq || (b.Seq == a.Seq && !b.Time.After(a.Time)) {
				t.Errorf("%q: %v", text, got.events)
			}
		}
	})
}
