package app

import (
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Codes of the server for a request that it understood and refused; nats.go
// names few of them (nats-server, server/errors.json).
const (
	codeAccountResources      jetstream.ErrorCode = 10002
	codeNoPeers               jetstream.ErrorCode = 10005
	codeConsumersLimit        jetstream.ErrorCode = 10026
	codeStreamsLimit          jetstream.ErrorCode = 10027
	codePeerNotMember         jetstream.ErrorCode = 10040
	codeServerNotMember       jetstream.ErrorCode = 10044
	codeInvalidStream         jetstream.ErrorCode = 10052 // subjects that no stream may have, for one
	codeReplicasNotSupported  jetstream.ErrorCode = 10074 // the server is no cluster
	codeNoLimits              jetstream.ErrorCode = 10120 // the account may not have so many replicas
	codeStreamMove            jetstream.ErrorCode = 10124
	codeMemberChange          jetstream.ErrorCode = 10202
	codeReconfigureInProgress jetstream.ErrorCode = 10226
)

// passing are the refusals that bear the status of a bad request, and yet end
// by themselves or when somebody makes room.
var passing = []jetstream.ErrorCode{
	codeAccountResources, codeNoPeers, codeConsumersLimit, codeStreamsLimit, codePeerNotMember, codeServerNotMember,
	codeStreamMove, codeMemberChange, codeReconfigureInProgress,
}

// hopeless says that a person has to change the set-up: it breaks a promise, or
// the server would refuse the same request for ever. All else is waited out:
// a cluster without a leader, a stream that has just been deleted (404), too
// many requests (429).
func hopeless(err error) bool {
	if errors.Is(err, errSetup) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case codeReplicasNotSupported, codeInvalidStream: // a status of 500 all the same
		return true
	}
	return api.Code == 400 && !slices.Contains(passing, api.ErrorCode)
}

// refusedAs says that the server refused with code.
func refusedAs(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
