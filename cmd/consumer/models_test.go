package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestModels: plan and warm ask the tracking server what a model's URI stands for.
func TestModels(t *testing.T) {
	s := newShell(t)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("name") != "llama" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"artifact_uri":"s3://ckpt/run"}`))
	}))
	defer registry.Close()
	environ := []string{"MLFLOW_TRACKING_URI=" + registry.URL}
	for _, tt := range []struct {
		args    []string
		environ []string
		code    int
		want    string // of standard output, of standard error where it fails
	}{
		{[]string{"plan", "models:/llama/3"}, environ, exitDone, "models:/llama/3 is s3://ckpt/run/\nfill \"s3://ckpt/run/a\" (5000000 bytes)\n"},
		{[]string{"plan", "models:/llama/3", "--output=json"}, environ, exitDone, `{"uri":"s3://ckpt/run/a","size":5000000,"action":"fill"}`},
		{[]string{"plan", "s3://ckpt/run/a", "models:/llama/3"}, environ, exitDone, "s3://ckpt/run/: 3 objects"},
		{[]string{"warm", "models:/llama/3"}, environ, exitDone, "s3://ckpt/run/: warm"},
		{[]string{"plan", "models:/other/3"}, environ, exitFailed, "MLFLOW_TRACKING_TOKEN"},
		{[]string{"warm", "models:/other/3"}, environ, exitFailed, "MLFLOW_TRACKING_TOKEN"},
		{[]string{"plan", "models:/llama/latest"}, environ, exitFailed, "want models:/name/version"},
		{[]string{"plan", "models:/llama/3"}, nil, exitFailed, "MLFLOW_TRACKING_URI"},
		{[]string{"plan", "models:/llama/3"}, []string{"MLFLOW_TRACKING_URI=databricks"}, exitUsage, "MLFLOW_TRACKING_URI"},
		{[]string{"plan", "--manifest", "models:/llama/3"}, environ, exitUsage, "not an object URI"},
		{[]string{"plan", "models://u:hush@h/llama/3"}, environ, exitUsage, "not an object URI"},
	} {
		code, stdout, stderr := s.run("", tt.environ, tt.args...)
		text := stdout
		if tt.code != exitDone {
			text = stderr
			oneLine(t, stderr, "")
		}
		if code != tt.code || !strings.Contains(text, tt.want) || strings.Contains(text, "hush") {
			t.Errorf("%q: exit %d, %q, %q", tt.args, code, stdout, stderr)
		}
	}
}
