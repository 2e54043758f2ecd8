package events

import (
	"fmt"

	"github.com/prestage/prestage/internal/outcome"
)

// FormatSNS is Amazon SNS's JSON envelope. What it carries has a Format of its
// own; FormatSNS remains where that cannot be told, and for what SNS itself has
// to say. https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
const FormatSNS Format = "sns"

const adviceSNS = "send what is accepted without an envelope as the text of an SNS message"

func isSNS(in *input) bool {
	root := in.root("")
	return root.get("Type").present() && root.get("TopicArn").present() && root.get("Message").present()
}

// decodeSNS reads the event in the envelope. An event without an identity of
// its own has the MessageId, which SNS keeps when it sends a message again, and
// the topic's ARN as the source.
func decodeSNS(in *input, ev *Event) error {
	ev.Kind = in.Kind
	root := in.root("")
	topic, _, err := optional(jsonAttributes{root}, "TopicArn")
	if err != nil {
		return err
	}
	id, _, err := optional(jsonAttributes{root}, "MessageId")
	if err != nil {
		return err
	}
	if id != "" && topic != "" {
		ev.ID, ev.Source = id, topic
	}
	// The SubscribeURL and the Token are not read: who holds them can confirm
	// or end a subscription.
	switch t := root.get("Type"); t.text() {
	case "Notification":
		return decodeEnclosed(in, root.get("Message"), ev)
	case "SubscriptionConfirmation":
		ev.Skip = outcome.NotActionable
		ev.Note = fmt.Sprintf("SNS topic %q asks to confirm a subscription, which is left to its owner", topic)
	case "UnsubscribeConfirmation":
		ev.Skip = outcome.NotActionable
		ev.Note = fmt.Sprintf("SNS topic %q says that a subscription ended", topic)
	default:
		t.doc.fail(unsupported("", "%s: %s is not read", t.path(), quote(t.lenientText())))
	}
	return root.doc.err
}

// decodeEnclosed reads an event that message holds as a text. The headers are
// the envelope's and do not describe it.
func decodeEnclosed(in *input, message *node, ev *Event) error {
	text, ok := message.value.(string)
	if !ok {
		message.failWant("a string")
		return message.doc.err
	}
	enclosed := in.Message
	enclosed.Header, enclosed.Data = nil, []byte(text)
	inner := newInput(enclosed)
	if isSNS(inner) {
		return message.errorf("an SNS envelope in an SNS envelope is not read")
	}
	d := detect(inner)
	if d.format != "" {
		ev.Format = d.format
	}
	if err := d.decode(inner, ev); err != nil {
		return within(message, err, d.advice)
	}
	return nil
}
