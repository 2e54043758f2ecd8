package persist

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes of the server for a write that finds no room; nats.go does not name
// them (nats-server, server/errors.json).
const (
	codeAccountResources jetstream.ErrorCode = 10002 // the account's limits
	codeServerResources  jetstream.ErrorCode = 10023 // the server's limits
	codeServerStorage    jetstream.ErrorCode = 10047 // its storage
	codeStoreFailed      jetstream.ErrorCode = 10077 // the stream's limits, or its store is closed
)

// Conflict says that a key or subject is not at the revision or sequence that
// was expected. Replicated streams answer with a code of their own.
func Conflict(err error) bool {
	switch code(err) {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return true
	}
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// Full says that a stream or bucket refused a message for lack of room. A store
// that is being closed answers the same.
func Full(err error) bool {
	switch code(err) {
	case codeAccountResources, codeServerResources, codeServerStorage, codeStoreFailed:
		return true
	}
	return false
}

// TooLarge says that the server or stream never takes a message of this size.
func TooLarge(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum)
}

// Mangled says that a message is there whose headers nats.go cannot read. Whoever
// publishes chooses them, and the server takes any.
func Mangled(err error) bool {
	return errors.Is(err, nats.ErrBadHeaderMsg) || (err != nil && err.Error() == noHeaders)
}

// noHeaders is what nats.go says of a direct get's answer with such headers; it has
// no name for that (jetstream/stream.go).
const noHeaders = "nats: response should have headers"

func code(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	if js, ok := errors.AsType[jetstream.JetStreamError](err); ok && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}
