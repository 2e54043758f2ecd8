package events

import (
	"path"
	"strings"
	"unicode"

	"github.com/prestage/prestage/internal/object"
)

// FormatMLflow is a webhook of MLflow's model registry.
// https://mlflow.org/docs/latest/ml/webhooks
const FormatMLflow Format = "mlflow"

const (
	adviceMLflow = `register versions whose source is an s3:// URI; or publish a native event with the URI of the version's files: {"uri":"s3://bucket/prefix/"}`

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
	switch what := entity + "." + action; what {
	case "model_version.created":
		readModelVersion(data, ev)
	case "model_version_alias.created":
		readPublication("alias", data.get("alias").required(), servesByAlias, ev)
	case "model_version_tag.set":
		readPublication("tag", data.get("value").required(), func(value string) bool {
			return servesByTag(data.get("key").text(), value)
		}, ev)
	default: // a model without a version has no files yet; prompts and budgets have none
		leaveOut(ev, "MLflow's event "+quote(what))
	}
	return root.doc.err
}

func isDeliveryID(s string) bool {
	return s != "" && len(s) <= maxAttributeBytes && !strings.ContainsFunc(s, unicode.IsControl)
}

// readModelVersion reads the version's source, which MLflow documents as the
// location of its artifacts: a directory, whether it ends in "/" or not.
func readModelVersion(data *node, ev *Event) {
	if isMLflowExample(data) {
		leaveOut(ev, "MLflow's test delivery")
		return
	}
	source := data.get("source")
	ref := readSource(source)
	if ref.Key != "" && !ref.IsPrefix() {
		ref.Key += "/"
		if err := object.CheckKey(ref.Key); err != nil { // too long now
			source.fail("%w", err)
		}
	}
	ev.setTarget(source, ref)
}

// isMLflowExample finds what MLflow's test of a webhook sends. Its other
// examples have an alias and a tag that nothing is warmed for.
// https://github.com/mlflow/mlflow/blob/master/mlflow/webhooks/types.py
func isMLflowExample(data *node) bool {
	return data.get("name").is("example_model") && data.get("run_id").is("abcd1234abcd5678")
}

// readPublication reads an event that puts a version to use. It does not say
// where the files are.
func readPublication(what string, mark *node, serves func(string) bool, ev *Event) {
	name := mark.text()
	if !serves(name) {
		leaveOut(ev, "MLflow's "+what+" "+quote(name)+" does not say that the version is to be served")
		return
	}
	mark.doc.fail(unresolvable("%s: MLflow's event does not tell where the files of the version are", mark.path()))
}

// servesByAlias says that an alias is one under which versions are served.
func servesByAlias(alias string) bool {
	for _, pattern := range []string{"champion", "prod", "prod-*", "prod_*", "production"} {
		if ok, err := path.Match(pattern, strings.ToLower(alias)); ok && err == nil {
			return true
		}
	}
	return false
}

// servesByTag is servesByAlias for a tag: the stages that MLflow once had.
func servesByTag(key, value string) bool {
	return strings.EqualFold(key, "stage") && servesByAlias(value)
}
