package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/outcome"
)

const api = "GET /api/2.0/mlflow/"

// TestPlace: the answers are in the shape of mlflow/protos/model_registry.proto
// and service.proto.
func TestPlace(t *testing.T) {
	t.Parallel()
	s := newServer(t, map[string]answer{
		api + "model-versions/get-download-uri?name=llama&version=3":       {200, `{"artifact_uri": "s3://models/llama/3"}`},
		api + "model-versions/get-download-uri?name=a+b%2Fc%26d&version=1": {200, `{"artifact_uri": "s3://models/odd"}`},
		api + "model-versions/get-download-uri?name=copy&version=1":        {200, `{"artifact_uri": "models:/llama/3"}`},
		api + "model-versions/get-download-uri?name=new&version=1":         {200, `{"artifact_uri": "models:/m-7c1e"}`},
		api + "model-versions/get-download-uri?name=loop&version=1":        {200, `{"artifact_uri": "models:/loop/1"}`},
		api + "registered-models/alias?alias=champion&name=llama": {200, `{"model_version": {"name": "llama", "version": "3", "source": "models:/m-7c1e",
			"creation_timestamp": 1763632800000, "status": "READY", "aliases": ["champion"]}}`},
		api + "registered-models/alias?alias=nobody&name=llama": {400, `{"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias nobody not found."}`},
		api + "logged-models/m-7c1e": {200, `{"model": {"info": {"model_id": "m-7c1e", "experiment_id": "1", "name": "model",
			"artifact_uri": "s3://mlflow/1/models/m-7c1e/artifacts", "status": "LOGGED_MODEL_READY", "source_run_id": "0a1b"}, "data": {}}}`},
		api + "logged-models/m-else": {200, `{"model": {"info": {"name": "other", "artifact_uri": "s3://mlflow/1/models/m-else/artifacts"}}}`},
		api + "runs/get?run_id=0a1b": {200, `{"run": {"info": {"run_id": "0a1b", "artifact_uri": "s3://mlflow/1/0a1b/artifacts"}, "data": {"metrics": []},
			"inputs": {}, "outputs": {"model_outputs": [{"model_id": "m-7c1e", "step": 0}, {"model_id": "m-else", "step": 1}, {"model_id": "m-gone"}, {"model_id": "../x"}]}}}`},
		api + "runs/get?run_id=old":  {200, `{"run": {"info": {"artifact_uri": "s3://mlflow/0/old/artifacts/"}}}`},
		api + "runs/get?run_id=void": {200, `{"run": {"info": {}}}`},
	})
	for _, tt := range []struct {
		of    events.Artifact
		want  string // of an error, a part of its text
		asked []string
	}{
		{
			events.Artifact{Name: "llama", Version: "3", URI: "models:/m-ignored"},
			"s3://models/llama/3",
			[]string{"model-versions/get-download-uri?name=llama&version=3"},
		},
		{
			events.Artifact{Name: "a b/c&d", Version: "1"},
			"s3://models/odd",
			[]string{"model-versions/get-download-uri?name=a+b%2Fc%26d&version=1"},
		},
		{
			events.Artifact{Name: "copy", Version: "1"},
			"s3://models/llama/3",
			[]string{"model-versions/get-download-uri?name=copy&version=1", "model-versions/get-download-uri?name=llama&version=3"},
		},
		{
			events.Artifact{Name: "new", Version: "1"},
			"s3://mlflow/1/models/m-7c1e/artifacts",
			[]string{"model-versions/get-download-uri?name=new&version=1", "logged-models/m-7c1e"},
		},
		{events.Artifact{Name: "loop", Version: "1"}, "more than 4 URIs", nil},
		{events.Artifact{Name: "gone", Version: "1"}, `HTTP 404: mlflow "gone" "1": tracking server: knows no such thing (RESOURCE_DOES_NOT_EXIST)`, nil},
		{
			events.Artifact{URI: "models:/llama/3"},
			"s3://models/llama/3",
			[]string{"model-versions/get-download-uri?name=llama&version=3"},
		},
		{
			events.Artifact{URI: "models:/llama@champion"},
			"s3://models/llama/3",
			[]string{"registered-models/alias?alias=champion&name=llama", "model-versions/get-download-uri?name=llama&version=3"},
		},
		{events.Artifact{URI: "models:/llama@nobody"}, "HTTP 400", []string{"registered-models/alias?alias=nobody&name=llama"}},
		{events.Artifact{URI: "models:/m-7c1e"}, "s3://mlflow/1/models/m-7c1e/artifacts", []string{"logged-models/m-7c1e"}},
		{
			events.Artifact{URI: "runs:/0a1b/model"},
			"s3://mlflow/1/models/m-7c1e/artifacts",
			[]string{"runs/get?run_id=0a1b", "logged-models/m-gone", "logged-models/m-else", "logged-models/m-7c1e"},
		},
		{events.Artifact{URI: "runs:/0a1b/other/onnx/"}, "s3://mlflow/1/models/m-else/artifacts/onnx", nil},
		{events.Artifact{URI: "runs:/0a1b/plots"}, "s3://mlflow/1/0a1b/artifacts/plots", nil},
		{events.Artifact{URI: "runs:/0a1b"}, "s3://mlflow/1/0a1b/artifacts", []string{"runs/get?run_id=0a1b"}},
		{events.Artifact{URI: "runs:/old/a/b"}, "s3://mlflow/0/old/artifacts/a/b", []string{"runs/get?run_id=old"}},
		{events.Artifact{URI: "runs:/void/a"}, "does not tell where", nil},
		{events.Artifact{URI: "mlflow-artifacts:/1/x"}, "mlflow-artifacts:/1/x", []string{}},
		{events.Artifact{URI: "dbfs:/x"}, "dbfs:/x", []string{}},
		{events.Artifact{URI: "models:/llama/Production"}, "is not followed (want models:/name/version", []string{}},
		{events.Artifact{URI: "models:/llama/latest"}, "is not followed (want models:/name/version", []string{}},
		{events.Artifact{URI: "models:/../../x"}, "is not followed (want models:/name/version", []string{}},
		{events.Artifact{URI: "models://key:hush@databricks/llama/3"}, "of another server", []string{}},
		{events.Artifact{URI: "models:llama/3"}, "of another server", []string{}},
		{events.Artifact{URI: "runs:/../x"}, `"runs:/../x" is not followed`, []string{}},
	} {
		tt.of.Registry = events.MLflow
		before := len(s.questions())
		got, err := s.tracking(t).Place(t.Context(), tt.of)
		var asked []string
		for _, q := range s.questions()[before:] {
			asked = append(asked, strings.TrimPrefix(q, api))
		}
		if diff := cmp.Diff(tt.asked, append([]string{}, asked...)); diff != "" && tt.asked != nil {
			t.Errorf("%+v: questions (-want +got):\n%s", tt.of, diff)
		}
		if err == nil && got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.of, got, tt.want)
		}
		if err != nil && (outcome.As(err).Class != outcome.Permanent || !strings.Contains(err.Error(), tt.want) || hasSecret(err.Error())) {
			t.Errorf("%+v: %v, want %s", tt.of, err, tt.want)
		}
	}
}
