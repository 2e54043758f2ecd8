package events

// FormatWandB is a webhook of a Weights & Biases automation. Its body is a
// template of the user's own; the one that is read is in the README.
// https://docs.wandb.ai/models/automations/create-automations/webhook
const FormatWandB Format = "wandb"

const adviceWandB = `put the URI of the files into the artifact's metadata as s3_uri, and "s3_uri":"${artifact_metadata.s3_uri}" into the automation's template`

func isWandB(in *input) bool {
	root := in.root("")
	return root.get("event_type").present() && root.get("s3_uri").present() && !isNative(in)
}

// decodeWandB warms whatever an automation sends: when it fires is decided there.
func decodeWandB(in *input, ev *Event) error {
	ev.Kind = KindModel
	root := in.root("").object()
	ev.Model = filledIn(root.get("collection").label())
	ev.Version = filledIn(root.get("version").label())
	ev.Layout = filledIn(root.get("format"))
	uri := root.get("s3_uri")
	ref, elsewhere, inS3 := readSource(uri)
	if inS3 {
		ev.setTarget(ref)
		return root.doc.err
	}
	ev.Artifact = Artifact{
		Registry: WandB, Name: ev.Model, Version: ev.Version, Ref: filledIn(root.get("alias").label()), URI: elsewhere,
	}
	return root.doc.err
}
