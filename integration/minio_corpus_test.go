package integration_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var updateCorpus = flag.Bool("update", false, "write what MinIO sends into the decoder's corpus")

const minioCorpus = "../internal/events/testdata/minio-server.txtar"

// corpusFile is a notification as the corpus has it.
type corpusFile struct {
	name string
	body string
}

// changing are the members of a notification that differ from run to run, or
// tell of the machine, and what the corpus has in their place.
var changing = []struct {
	member *regexp.Regexp
	value  string
}{
	{regexp.MustCompile(`"(eventTime)":"[^"]*"`), "2026-11-20T10:00:00.123Z"},
	{regexp.MustCompile(`"(sequencer)":"[^"]*"`), "187CD0A1B2C3D4E5"},
	{regexp.MustCompile(`"(versionId)":"[^"]+"`), "8a5d6c3e-0f0b-4c5a-9d2e-1b7f3a6c9e10"},
	{regexp.MustCompile(`"(x-amz-request-id)":"[^"]*"`), "187CD0A1B2C3D4E5"},
	{regexp.MustCompile(`"(x-amz-id-2)":"[^"]*"`), strings.Repeat("0", 64)},
	{regexp.MustCompile(`"(x-minio-deployment-id)":"[^"]*"`), "00000000-0000-0000-0000-000000000000"},
	{regexp.MustCompile(`"(x-minio-origin-endpoint)":"[^"]*"`), "http://10.0.0.1:9000"},
	{regexp.MustCompile(`"(sourceIPAddress|host)":"[^"]*"`), "10.0.0.1"},
	{regexp.MustCompile(`"(userAgent)":"[^"]*"`), "client"},
	{regexp.MustCompile(`"(principalId|accessKey)":"[^"]*"`), "AKIDEXAMPLE"},
}

func anonymous(body []byte) string {
	text := string(body)
	for _, c := range changing {
		text = c.member.ReplaceAllString(text, `"$1":"`+c.value+`"`)
	}
	return strings.TrimSuffix(text, "\n") + "\n"
}

// checkCorpus compares what MinIO sent with the corpus, or writes it there. What
// the decoder makes of it is up to the decoder's tests.
func checkCorpus(t *testing.T, got []corpusFile) {
	t.Helper()
	if *updateCorpus {
		a := &txtar.Archive{Comment: []byte("What a MinIO server publishes, written by its test: go tool task minio -- -update\n")}
		for _, c := range got {
			a.Files = append(a.Files, txtar.File{Name: c.name + "/body", Data: []byte(c.body)})
		}
		if err := os.WriteFile(minioCorpus, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	a, err := txtar.ParseFile(minioCorpus)
	if err != nil {
		t.Fatal(err)
	}
	var want []corpusFile
	for _, f := range a.Files {
		if name, ok := strings.CutSuffix(f.Name, "/body"); ok {
			want = append(want, corpusFile{name, string(f.Data)})
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(corpusFile{})); diff != "" {
		t.Errorf("MinIO sends something else than the corpus has (-corpus +MinIO):\n%s", diff)
	}
}
