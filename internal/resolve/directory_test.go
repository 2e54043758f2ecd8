package resolve

import (
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"s3://models/llama/3":    "s3://models/llama/3/",
		"cw://models/llama/3/":   "s3://models/llama/3/",
		"S3://models/a b/%2F":    "s3://models/a b/%2F/",
		"":                       "does not tell",
		"s3://models":            "all of the bucket",
		"s3://models/":           "all of the bucket",
		"s3://key:hush@models/x": "credentials",
		"s3://models:9000/x":     "ports",
		"s3://int/x":             "reserved",
		"s3://models/" + strings.Repeat("k", 1024):     "1025 bytes",
		"mlflow-artifacts:/1/a":                        `scheme "mlflow-artifacts"`,
		"dbfs:/models/llama":                           `scheme "dbfs"`,
		"/srv/mlruns/1":                                "not in S3",
		"https://models.s3.amazonaws.com/llama?s=hush": `scheme "https"`,
	} {
		ref, err := directory(events.Artifact{Registry: events.MLflow, Name: "llama"}, uri)
		if strings.HasPrefix(want, "s3://") {
			if err != nil || ref.String() != want {
				t.Errorf("%q: %s, %v", uri, ref, err)
			}
			continue
		}
		e := outcome.As(err)
		if e.Class != outcome.Permanent || !strings.Contains(e.Error(), want) || strings.Contains(e.Error(), "hush") {
			t.Errorf("%q: %v", uri, err)
		}
		if unsupported := strings.Contains(want, "bucket"); unsupported != (e.Reason == outcome.Unsupported) {
			t.Errorf("%q: %s", uri, e.Reason)
		}
	}
}
