package events

import (
	"strings"
	"unicode"

	"github.com/prestage/prestage/internal/object"
)

// FormatMLflow is a webhook of MLflow's model registry.
// https://mlflow.org/docs/latest/ml/webhooks
const FormatMLflow Format = "mlflow"

const (
	adviceMLflow = `send what MLflow's webhooks send; or publish a native event with the URI of the version's files: {"uri":"s3://bucket/prefix/"}`

	sourceMLflow = "/hooks/mlflow" // of events that have MLflow's delivery id
)

// HeaderDeliveryID names one delivery of MLflow, and stays the same when it is
// tried again. It is the event's id.
const HeaderDeliveryID = "X-MLflow-Delivery-Id"

func isMLflow(in *input) bool {
	root := in.root("")
	return root.get("entity").present() && root.get("action").present() && root.get("data").present()
}

func decodeMLflow(in *input, ev *Event) error {
	ev.Kind = KindModel
	if id, _, err := header(in.Header).get(HeaderDeliveryID); err == nil && isDeliveryID(id) {
		ev.ID, ev.Source = id, sourceMLflow
	}
	root := in.root("")
	readTime(root.get("timestamp"), ev)
	entity, action := root.get("entity").required().text(), root.get("action").required().text()
	data := root.get("data").required().object()
	if root.doc.err != nil {
		return root.doc.err
	}
	ev.Model = data.get("name").label().text()
	ev.Version = data.get("version").label().text()
	artifact := Artifact{Registry: MLflow, Name: ev.Model, Version: ev.Version, Workspace: root.get("workspace").text()}
	switch what := entity + "." + action; {
	case isMLflowExample(data):
		leaveOut(ev, "MLflow's test delivery")
	case what == "model_version.created":
		readModelVersion(data, artifact, ev)
	case what == "model_version_alias.created":
		artifact.Ref = data.get("alias").required().text()
		ev.Artifact = artifact
	case what == "model_version_tag.set":
		artifact.TagKey, artifact.TagValue = data.get("key").required().text(), data.get("value").required().text()
		ev.Artifact = artifact
	default: // a model without a version has no files yet; prompts and budgets have none
		leaveOut(ev, "MLflow's event "+quote(what))
	}
	return root.doc.err
}

// OfMLflow says that uri is one that MLflow gives to models and to what runs
// leave behind. The server that we know can tell where they are, unless the URI
// names another one.
func OfMLflow(uri string) bool {
	return (strings.HasPrefix(uri, "models:/") || strings.HasPrefix(uri, "runs:/")) && !strings.Contains(uri, "://")
}

func isDeliveryID(s string) bool {
	return s != "" && len(s) <= maxAttributeBytes && !strings.ContainsFunc(s, unicode.IsControl)
}

// readModelVersion reads the version's source, which MLflow documents as the
// location of its artifacts: a directory, whether it ends in "/" or not.
func readModelVersion(data *node, artifact Artifact, ev *Event) {
	source := data.get("source")
	ref, elsewhere, inS3 := readSource(source)
	if !inS3 {
		artifact.URI = elsewhere
		ev.Artifact = artifact
		return
	}
	if ref.Key != "" && !ref.IsPrefix() {
		ref.Key += "/"
		if err := object.CheckKey(ref.Key); err != nil { // too long now
			source.fail("%w", err)
		}
	}
	ev.setTarget(ref)
}

// isMLflowExample finds what MLflow's test of a webhook sends: a version of the
// run abcd1234abcd5678, and for other events the same model with the alias
// example_alias or the tag example_key.
// https://github.com/mlflow/mlflow/blob/master/mlflow/webhooks/types.py
func isMLflowExample(data *node) bool {
	return data.get("name").is("example_model") &&
		(data.get("run_id").is("abcd1234abcd5678") || data.get("alias").is("example_alias") || data.get("key").is("example_key"))
}
