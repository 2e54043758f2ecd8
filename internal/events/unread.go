package events

// What is recognised so that its sender learns what to send instead. A shape
// leaves this file when its producer gets a decoder.

const (
	adviceStore = "send the bucket's S3 notification itself, or a native event"
	adviceSNS   = "switch on raw message delivery, so that the notification arrives without the envelope"
)

func notRead(what string) func(*input, *Event) error {
	return func(*input, *Event) error {
		return unsupported("", "%s is not read by this version", what)
	}
}

func isEventBridge(in *input) bool {
	root := in.root("")
	return root.get("detail-type").present() && root.get("source").is("aws.s3")
}

func isSNS(in *input) bool {
	root := in.root("")
	return root.get("Type").present() && root.get("TopicArn").present() && root.get("Message").present()
}

func isMLflow(in *input) bool {
	root := in.root("")
	return root.get("entity").present() && root.get("action").present() && root.get("data").present()
}

func isHuggingFace(in *input) bool {
	root := in.root("")
	return root.get("event").get("scope").present() && root.get("repo").present()
}

func isHarbor(in *input) bool {
	root := in.root("")
	return root.get("type").present() && root.get("event_data").present()
}

func isDistribution(in *input) bool {
	list, _ := in.root("").get("events").value.([]any)
	return len(list) > 0 && newDocument("", list[0]).get("target").get("digest").present()
}
