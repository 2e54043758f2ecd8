package events

import "strings"

// FormatHarbor is a webhook of the registry Harbor, in its default form or in
// its CloudEvents form.
// https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
const FormatHarbor Format = "harbor"

// adviceImage is for events of registries: which objects an image is made of is
// known only after reading its manifest.
const adviceImage = `publish a native event with the S3 URIs of the image's layers: {"objects":[{"uri":"s3://bucket/key"}]}`

func isHarbor(in *input) bool { return isHarborDefault(in) || isHarborCloudEvent(in) }

func isHarborDefault(in *input) bool {
	root := in.root("")
	return root.get("type").present() && root.get("event_data").present()
}

// isHarborCloudEvent goes by the type: "harbor.artifact.pushed" and others.
func isHarborCloudEvent(in *input) bool {
	root := in.root("")
	return root.get("specversion").present() && strings.HasPrefix(root.get("type").lenientText(), "harbor.")
}

func decodeHarbor(in *input, ev *Event) error {
	ev.Kind = KindModel
	root := in.root("").object()
	data := root.get("event_data")
	if isHarborCloudEvent(in) {
		a := jsonAttributes{root}
		id, err := required(a, "id")
		if err != nil {
			return err
		}
		source, err := required(a, "source")
		if err != nil {
			return err
		}
		ev.ID, ev.Source = id, source
		data = root.get("data")
	}
	data.required()
	what := root.get("type").required().text()
	if root.doc.err != nil {
		return root.doc.err
	}
	if what != "PUSH_ARTIFACT" && what != "harbor.artifact.pushed" {
		leaveOut(ev, "Harbor's event "+quote(what))
		return nil
	}
	name := data.get("repository").get("repo_full_name").text()
	for _, pushed := range data.get("resources").items() {
		ev.addImage(pushed, Artifact{Registry: OCI, Name: name, Version: pushed.get("digest").text(), Ref: pushed.get("tag").text()})
	}
	return root.doc.err
}
