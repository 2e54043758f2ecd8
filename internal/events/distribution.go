package events

import "strings"

// FormatDistribution is a notification of the CNCF registry distribution.
// https://distribution.github.io/distribution/about/notifications/
const FormatDistribution Format = "distribution"

func isDistribution(in *input) bool {
	list, _ := in.root("").get("events").value.([]any)
	return len(list) > 0 && newDocument("", list[0]).get("target").get("digest").present()
}

// decodeDistribution looks for the pushes of manifests, each of which comes when
// all of an image is there. There is one event for each blob besides.
func decodeDistribution(in *input, ev *Event) error {
	ev.Kind = KindModel
	root := in.root("")
	events := root.get("events").items()
	var left leftOut
	for _, e := range events {
		action := e.object().get("action").required().text()
		target := e.get("target")
		media := target.get("mediaType").text()
		if root.doc.err != nil {
			return root.doc.err
		}
		if action != "push" || !isManifest(media) {
			left.add(action + " of " + media)
			continue
		}
		ev.addImage(e, Artifact{
			Registry: OCI, Name: target.get("repository").text(), Version: target.get("digest").text(), Ref: target.get("tag").text(),
		})
	}
	if root.doc.err == nil && !ev.Artifact.Named() {
		leaveOut(ev, left.note(len(events)))
	}
	return root.doc.err
}

// isManifest tells the media types of manifests and of their lists, OCI's and
// Docker's, from those of blobs.
func isManifest(mediaType string) bool {
	return strings.Contains(mediaType, ".manifest.") || strings.Contains(mediaType, ".image.index.")
}
