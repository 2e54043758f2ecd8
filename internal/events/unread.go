package events

// What is recognised so that its sender learns what to send instead. A shape
// leaves this file when its producer gets a decoder.

func notRead(what string) func(*input, *Event) error {
	return func(*input, *Event) error {
		return unsupported("", "%s is not read by this version", what)
	}
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
