package resolve

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func defaultMarks() Marks { return DefaultMarks{} }

func TestDefaultMarks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		events.Artifact

		serves bool
	}{
		{events.Artifact{Ref: "Champion"}, true},
		{events.Artifact{Ref: "production"}, true},
		{events.Artifact{Ref: "prod"}, true},
		{events.Artifact{Ref: "prod-eu"}, true},
		{events.Artifact{Ref: "PROD_eu"}, true},
		{events.Artifact{Ref: "product"}, false},
		{events.Artifact{Ref: "challenger"}, false},
		{events.Artifact{TagKey: "stage", TagValue: "Production"}, true},
		{events.Artifact{TagKey: "Stage", TagValue: "prod-eu"}, true},
		{events.Artifact{TagKey: "stage", TagValue: "staging"}, false},
		{events.Artifact{TagKey: "owner", TagValue: "prod"}, false},
	} {
		tt.Registry, tt.Name, tt.Version = events.MLflow, "llama", "3"
		ev, err := NewMLflow(nil, object.Ref{}, defaultMarks).Find(t.Context(), events.Event{Artifact: tt.Artifact})
		if (ev.Skip == outcome.NotActionable) == tt.serves || (ev.Note == "") != tt.serves || (err != nil) != tt.serves {
			t.Errorf("%+v: skip %q, note %q, error %v", tt.Artifact, ev.Skip, ev.Note, err)
		}
	}
}

// TestFind: what the server says becomes a prefix, or the reason why it is none.
func TestFind(t *testing.T) {
	t.Parallel()
	s := newServer(t, map[string]answer{
		"GET /api/2.0/mlflow/model-versions/get-download-uri?name=llama&version=3":   {200, `{"artifact_uri":"s3://models/llama/3"}`},
		"GET /api/2.0/mlflow/model-versions/get-download-uri?name=proxied&version=1": {200, `{"artifact_uri":"mlflow-artifacts:/1/models/m-0/artifacts"}`},
		"GET /api/2.0/mlflow/model-versions/get-download-uri?name=hush&version=1":    {200, `{"artifact_uri":"s3://key:hush@models/x"}`},
		"GET /api/2.0/mlflow/model-versions/get-download-uri?name=all&version=1":     {200, `{"artifact_uri":"s3://models"}`},
		"GET /api/2.0/mlflow/model-versions/get-download-uri?name=void&version=1":    {200, `{}`},
	})
	for name, want := range map[string]outcome.Reason{
		"llama": "", "proxied": outcome.UnresolvableSource, "hush": outcome.UnresolvableSource, "all": outcome.Unsupported,
		"void": outcome.UnresolvableSource,
	} {
		version := "1"
		if name == "llama" {
			version = "3"
		}
		ev, err := NewMLflow(s.tracking(t), object.Ref{}, defaultMarks).Find(t.Context(), events.Event{
			ID: "e", Artifact: events.Artifact{Registry: events.MLflow, Name: name, Version: version},
		})
		if want == "" {
			if err != nil || ev.ID != "e" || ev.Prefix.String() != "s3://models/llama/3/" {
				t.Errorf("%s: %+v, %v", name, ev, err)
			}
			continue
		}
		if e := outcome.As(err); e.Class != outcome.Permanent || e.Reason != want || hasSecret(strings.ReplaceAll(err.Error(), `"hush"`, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFindAsksAgain: a server that has just told of a version may not know it yet.
func TestFindAsksAgain(t *testing.T) {
	t.Parallel()
	const uri = "GET /api/2.0/mlflow/model-versions/get-download-uri?name=llama&version=3"
	s := newServer(t, nil)
	m := NewMLflow(s.tracking(t), object.Ref{}, defaultMarks)
	m.again = []time.Duration{time.Microsecond, time.Microsecond}
	ev := events.Event{Artifact: events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3"}}

	s.then(uri, answer{404, absentBody}, answer{404, absentBody}, answer{200, `{"artifact_uri":"s3://models/llama/3"}`})
	if found, err := m.Find(t.Context(), ev); err != nil || found.Prefix.Key != "llama/3/" {
		t.Errorf("%+v, %v", found, err)
	}
	s.then(uri, answer{404, absentBody}, answer{404, absentBody}, answer{404, absentBody}, answer{200, `{}`})
	if _, err := m.Find(t.Context(), ev); outcome.As(err).Class != outcome.Permanent || s.asked(uri) != 6 {
		t.Errorf("%v after %d questions", err, s.asked(uri))
	}

	m.again = []time.Duration{time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	s.then(uri, answer{404, absentBody})
	s.onAsked(cancel)
	if _, err := m.Find(ctx, ev); outcome.As(err).Class != outcome.Interrupted {
		t.Errorf("after the end: %v", err)
	}
}

// TestBehind: what a server keeps to itself is found where it keeps it.
func TestBehind(t *testing.T) {
	t.Parallel()
	bucket, below, none := object.Ref{Bucket: "mlflow"}, object.Ref{Bucket: "mlflow", Key: "root/"}, object.Ref{}
	for _, tt := range []struct {
		destination object.Ref
		uri, want   string
	}{
		{bucket, "mlflow-artifacts:/1/models/m-7c1e/artifacts", "s3://mlflow/1/models/m-7c1e/artifacts"},
		{below, "mlflow-artifacts:/1/a/", "s3://mlflow/root/1/a"},
		{below, "mlflow-artifacts://mlflow.example.com:5000/1/a", "s3://mlflow/root/1/a"},
		{none, "mlflow-artifacts:/1/a", "mlflow-artifacts:/1/a"},
		{below, "mlflow-artifacts:/", "mlflow-artifacts:/"}, // all that there is
		{below, "mlflow-artifacts://mlflow.example.com", "mlflow-artifacts://mlflow.example.com"},
		{below, "s3://models/llama", "s3://models/llama"},
		{below, "/1/a", "/1/a"},
		{below, "", ""},
	} {
		if got := NewMLflow(nil, tt.destination, defaultMarks).behind(tt.uri); got != tt.want {
			t.Errorf("%s, %q: %q, want %q", tt.destination, tt.uri, got, tt.want)
		}
	}
}
