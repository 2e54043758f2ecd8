package clients_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/lotasim"
)

// The steps, in the order in which a client does them.
const (
	upload            = "upload"
	multipart         = "multipart"
	list              = "list"
	warm              = "warm"
	download          = "read"
	resume            = "resume"
	defaultAddressing = "default-addressing"
)

const (
	wholeBytes = 10_000_000 // goes in one piece, and is cached
	partsBytes = 40_000_000 // goes in three parts of 16 MiB
	partsCount = 3
	begun      = 1000 // bytes of a file that a step goes on with

	wholeKey = "run 7/a+b.bin"
	partsKey = "run 7/parts.bin"
)

// step is something that a client can do or not.
type step struct {
	name  string
	title string // its row
	key   string
	check func(t *testing.T, a attempt) error
}

var steps = []step{
	{upload, "uploads in one piece", wholeKey, checkUpload},
	{multipart, "uploads in parts", partsKey, checkMultipart},
	{list, "lists", wholeKey, checkList},
	{warm, "**warms**: HEAD with `Range: bytes=0-0`", wholeKey, checkWarm},
	{resume, "reads from an offset", wholeKey, checkResume},
	{download, "reads, which fills the cache too", partsKey, checkDownload},
}

// attempt is a step that a client has done.
type attempt struct {
	*site
	key      string
	contents []byte // that the object has, or is to have
	file     string // what was uploaded or downloaded
	output   string
	requests []lotasim.Request // what reached LOTA
}

// try does a step and looks at what became of it.
func (c client) try(t *testing.T, s *site, st step, contents []byte) error {
	t.Helper()
	local := map[string][]byte{upload: contents, multipart: contents, resume: contents[:begun]}[st.name]
	a := attempt{site: s, key: st.key, contents: contents, file: s.file(t, st.name, local)}
	if st.name == download { // some don't like to find it
		if err := os.Remove(a.file); err != nil {
			t.Fatal(err)
		}
	}
	last := uint64(0)
	if before := s.emulator.since(t, s.bucket, 0); len(before) > 0 {
		last = before[len(before)-1].Seq
	}
	argv := c.command(t, s, st.name, st.key, a.file)
	out, err := s.run(t, argv[0], argv[1:]...)
	if err != nil {
		return err
	}
	a.output, a.requests = string(out), s.emulator.since(t, s.bucket, last)
	return st.check(t, a)
}

// count tells how many requests f holds for.
func (a attempt) count(f func(r lotasim.Request) bool) int {
	return len(slices.DeleteFunc(slices.Clone(a.requests), func(r lotasim.Request) bool { return !f(r) }))
}

func (a attempt) checkStored(t *testing.T) error {
	t.Helper()
	got, err := a.stored(t, a.key)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, a.contents) {
		return fmt.Errorf("%d bytes are stored, not the %d of the file", len(got), len(a.contents))
	}
	return nil
}

func checkUpload(t *testing.T, a attempt) error {
	t.Helper()
	puts := a.count(func(r lotasim.Request) bool { return r.Method == http.MethodPut && !strings.Contains(r.URI, "?") })
	if puts != 1 {
		return fmt.Errorf("%d PUTs of the object, want 1", puts)
	}
	return a.checkStored(t)
}

func checkMultipart(t *testing.T, a attempt) error {
	t.Helper()
	parts := a.count(func(r lotasim.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URI, "partNumber=")
	})
	if parts != partsCount {
		return fmt.Errorf("%d parts, want %d", parts, partsCount)
	}
	return a.checkStored(t)
}

func checkList(_ *testing.T, a attempt) error {
	if !strings.Contains(a.output, a.key) {
		return fmt.Errorf("no %q in %q", a.key, a.output)
	}
	return nil
}

func checkWarm(t *testing.T, a attempt) error {
	t.Helper()
	heads := a.count(func(r lotasim.Request) bool { return r.Method == http.MethodHead && r.Key == a.key })
	ranged := a.count(func(r lotasim.Request) bool {
		return r.Method == http.MethodHead && r.Range == "bytes=0-0" && r.RangeSigned
	})
	switch truth := a.emulator.truth(t, a.bucket, a.key); {
	case heads > 0 && ranged == 0 && truth.RangedHeads == 0 && truth.Fills == 0:
		return errNoRange
	case ranged != 1 || len(a.requests) != 1 || truth.RangedHeads != 1 || truth.Fills != 1:
		return fmt.Errorf("requests %+v, truth %+v; want one ranged HEAD and one fill", a.requests, truth)
	}
	a.emulator.cached(t, a.bucket, a.key)
	return nil
}

// errNoRange says that a HEAD came, but that the header was left out.
var errNoRange = errors.New("it sends the HEAD without that header")

func checkResume(t *testing.T, a attempt) error {
	t.Helper()
	gets := a.count(func(r lotasim.Request) bool {
		return r.Method == http.MethodGet && r.Key == a.key && r.Range == fmt.Sprintf("bytes=%d-", begun) && r.Status == http.StatusPartialContent
	})
	if got := []byte(read(t, a.file)); gets != 1 || !bytes.HasSuffix(got, a.contents[begun:]) {
		return fmt.Errorf("%d GETs of that range; %d bytes are not the rest of the object", gets, len(got))
	}
	return nil
}

func checkDownload(t *testing.T, a attempt) error {
	t.Helper()
	if !bytes.Equal([]byte(read(t, a.file)), a.contents) {
		return errors.New("the file is not what was uploaded")
	}
	a.emulator.cached(t, a.bucket, a.key)
	return nil
}

// random returns n bytes that no compression or mistake would make the same.
func random(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.Read(out) // never fails
	return out
}

// bucketOf is the bucket of a client that comes by one of the ways.
func bucketOf(debian, way string) string { return debian + "-" + way }

// TestClients lets every client try every step by both ways, and holds the
// outcome against docs/clients.md.
func TestClients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this runs programs of others")
	}
	var buckets []string
	for _, c := range clients {
		for _, way := range ways {
			buckets = append(buckets, bucketOf(c.debian, way))
		}
	}
	e := startEmulator(t, buckets)
	contents := map[string][]byte{wholeKey: random(wholeBytes), partsKey: random(partsBytes)}
	tried := newTrials()
	t.Run("steps", func(t *testing.T) {
		for _, c := range clients {
			for _, way := range ways {
				t.Run(c.debian+" by "+way, func(t *testing.T) {
					t.Parallel()
					version := c.installed(t)
					s := newSite(t, e, way, bucketOf(c.debian, way))
					if c.setUp != nil {
						c.setUp(t, s)
					}
					for _, st := range steps {
						tried.add(trial{client: c.name, version: version, way: way, step: st.name, err: c.try(t, s, st, contents[st.key])})
					}
				})
			}
		}
	})
	t.Run("docs", tried.holdAgainstDocs)
}

// TestDefaultAddressing shows why the setting is needed: with an endpoint of
// one's own these clients put the bucket into the path.
func TestDefaultAddressing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: this runs programs of others")
	}
	e := startEmulator(t, []string{bucketOf("awscli", byProxy), bucketOf("python3-boto3", byProxy)})
	for _, c := range clients[:2] {
		t.Run(c.debian, func(t *testing.T) {
			t.Parallel()
			c.installed(t)
			s := newSite(t, e, byProxy, bucketOf(c.debian, byProxy))
			argv := c.command(t, s, defaultAddressing, "k", "")
			if out, err := s.run(t, argv[0], argv[1:]...); err == nil || !bytes.Contains(out, []byte("(400)")) {
				t.Errorf("want 400: %v\n%s", err, out)
			}
			if requests := e.since(t, s.bucket, 0); len(requests) != 0 {
				t.Errorf("requests by host: %+v", requests)
			}
		})
	}
}
