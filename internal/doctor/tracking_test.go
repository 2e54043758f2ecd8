package doctor

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/natstest"
)

func TestTracking(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hush" || r.URL.Path != "/ml/api/2.0/mlflow/model-versions/search" {
			t.Errorf("asked for %s as %q", r.URL, r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{}`))
	}))
	defer s.Close()
	ns := natstest.Start(t)
	r := newRig(t, ns.URL(), nil)
	look := func(uri string) Finding {
		t.Helper()
		for _, f := range r.examine(t, "MLFLOW_TRACKING_URI="+uri, "MLFLOW_TRACKING_TOKEN=hush") {
			if f.Name == "mlflow" {
				return f
			}
		}
		t.Fatal("nothing is said of MLflow")
		return Finding{}
	}
	if f := look(s.URL + "/ml"); f.Status != OK || !strings.Contains(f.Seen, "may be read") {
		t.Error(f)
	}
	status = http.StatusForbidden
	if f := look(s.URL + "/ml"); f.Status != Fail || !strings.Contains(f.Seen, "HTTP 403") || !strings.Contains(f.Remedy, "MLFLOW_TRACKING_TOKEN") || strings.Contains(f.String(), "hush") {
		t.Error(f)
	}
	if f := look("databricks"); f.Status != Fail || !strings.Contains(f.Seen, "MLFLOW_TRACKING_URI") {
		t.Error(f)
	}
}
