package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/rules"
)

func TestTrackingSettings(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		environ []string
		want    string // a part of the error, "": none
	}{
		{nil, ""},
		{[]string{"MLFLOW_TRACKING_TOKEN=t"}, ""},
		{[]string{"MLFLOW_TRACKING_URI=https://mlflow.example.com/prefix/"}, ""},
		{[]string{"MLFLOW_TRACKING_URI=http://127.0.0.1:5000"}, ""},
		{[]string{"MLFLOW_TRACKING_URI=databricks"}, `MLFLOW_TRACKING_URI="databricks": want`},
		{[]string{"MLFLOW_TRACKING_URI=sqlite:///mlflow.db"}, "want the http:// or https:// address"},
		{[]string{"MLFLOW_TRACKING_URI=http://"}, "want the http:// or https:// address"},
		{[]string{"MLFLOW_TRACKING_URI=http://mlflow:0"}, "want the http:// or https:// address"},
		{[]string{"MLFLOW_TRACKING_URI=http://mlflow?key=hush"}, `MLFLOW_TRACKING_URI="http://mlflow": want`},
		{[]string{"MLFLOW_TRACKING_URI=https://u:hush@mlflow"}, "MLFLOW_TRACKING_USERNAME"},
		{[]string{"MLFLOW_TRACKING_URI=http://mlflow", "MLFLOW_TRACKING_TOKEN_FILE=/nowhere"}, `MLFLOW_TRACKING_TOKEN_FILE="/nowhere": want`},
		{[]string{"MLFLOW_ARTIFACTS_DESTINATION=s3://mlflow"}, ""},
		{[]string{"MLFLOW_ARTIFACTS_DESTINATION=./mlartifacts"}, `MLFLOW_ARTIFACTS_DESTINATION="./mlartifacts": want`},
		{[]string{"MLFLOW_ARTIFACTS_DESTINATION=s3://u:hush@mlflow"}, "MLFLOW_ARTIFACTS_DESTINATION: want"},
	} {
		c := parse(t, tt.environ...) // no command that asks no server minds
		_, _, err := newResolver(c, log, nil, nil)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tt.environ, err)
			}
			continue
		}
		if _, ok := errors.AsType[*SettingError](err); !ok || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", tt.environ, err)
		}
		if _, err := New(t.Context(), c, Deps{Log: log}); err == nil {
			t.Errorf("%q: the daemon starts", tt.environ)
		}
	}
}

// TestTrackingCredentials: what the server is sent.
func TestTrackingCredentials(t *testing.T) {
	t.Parallel()
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"artifact_uri":"s3://models/llama/3"}`))
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, environ := range map[string][]string{
		"":                   nil,
		"Bearer t":           {"MLFLOW_TRACKING_TOKEN=t"},
		"Bearer from-a-file": {"MLFLOW_TRACKING_TOKEN=t", "MLFLOW_TRACKING_TOKEN_FILE=" + file},
		"Basic dTpw":         {"MLFLOW_TRACKING_TOKEN=t", "MLFLOW_TRACKING_USERNAME=u", "MLFLOW_TRACKING_PASSWORD=p"},
	} {
		c := parse(t, append(environ, "MLFLOW_TRACKING_URI="+s.URL)...)
		r, mlflow, err := newResolver(c, slog.New(slog.DiscardHandler), func() *rules.Set { return nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer mlflow.Close()
		ev, err := r.Resolve(context.WithoutCancel(t.Context()), events.Event{Artifact: events.Artifact{Registry: events.MLflow, Name: "llama", Version: "3"}})
		if err != nil || ev.Prefix.String() != "s3://models/llama/3/" || got != want {
			t.Errorf("%q: %+v, %v, sent %q", environ, ev, err, got)
		}
	}
}
