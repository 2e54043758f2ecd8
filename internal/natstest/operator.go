package natstest

import (
	"os"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Operator is a server in operator mode: it knows its one account, and the
// account's users, by signed JWTs alone. Its methods are for the test's own
// goroutine.
type Operator struct {
	*Server

	key, accountKey nkeys.KeyPair
	account         *jwt.AccountClaims
}

// StartOperator runs one until the test ends. Its account has JetStream without
// limits.
func StartOperator(tb testing.TB) *Operator {
	tb.Helper()
	o := &Operator{key: newNKey(tb, nkeys.CreateOperator), accountKey: newNKey(tb, nkeys.CreateAccount)}
	operator := jwt.NewOperatorClaims(public(tb, o.key))
	o.account = jwt.NewAccountClaims(public(tb, o.accountKey))
	o.account.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	// In operator mode JetStream wants a system account.
	system := jwt.NewAccountClaims(public(tb, newNKey(tb, nkeys.CreateAccount)))
	resolver := new(server.MemAccResolver)
	for _, a := range []*jwt.AccountClaims{o.account, system} {
		if err := resolver.Store(a.Subject, encode(tb, a, o.key)); err != nil {
			tb.Fatal(err)
		}
	}
	o.Server = &Server{opts: options(tb, Options{})}
	o.opts.TrustedOperators = []*jwt.OperatorClaims{operator}
	o.opts.AccountResolver, o.opts.SystemAccount = resolver, system.Subject
	tb.Cleanup(o.Stop)
	o.start(tb)
	o.keepPort(tb)
	return o
}

// WriteCreds writes a credentials file, for a user whose JWT is good for ttl;
// 0: for ever. A file that is there is replaced as a whole.
func (o *Operator) WriteCreds(tb testing.TB, path string, ttl time.Duration) {
	tb.Helper()
	user := newNKey(tb, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(tb, user))
	if ttl > 0 {
		claims.Expires = time.Now().Add(ttl).Unix() // whole seconds
	}
	seed, err := user.Seed()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(encode(tb, claims, o.accountKey), seed)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		tb.Fatalf("write credentials: %v", err)
	}
}

// Limit changes what the account may use of JetStream.
func (o *Operator) Limit(tb testing.TB, change func(*jwt.JetStreamLimits)) {
	tb.Helper()
	change(&o.account.Limits.JetStreamLimits)
	acc, err := o.srv.LookupAccount(o.account.Subject)
	if err != nil {
		tb.Fatal(err)
	}
	claims, err := jwt.DecodeAccountClaims(encode(tb, o.account, o.key))
	if err != nil {
		tb.Fatal(err)
	}
	o.srv.UpdateAccountClaims(acc, claims)
}

// Connections counts those that clients have made since the start.
func (o *Operator) Connections(tb testing.TB) uint64 {
	tb.Helper()
	v, err := o.srv.Varz(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return v.TotalConnections
}

// JetStream connects a client with credentials that do not expire.
func (o *Operator) JetStream(tb testing.TB) jetstream.JetStream {
	tb.Helper()
	path := tb.TempDir() + "/test.creds"
	o.WriteCreds(tb, path, 0)
	return jetStream(tb, connect(tb, o.url, nats.UserCredentials(path)))
}

type signed interface {
	Encode(key nkeys.KeyPair) (string, error)
}

func encode(tb testing.TB, claims signed, key nkeys.KeyPair) string {
	tb.Helper()
	text, err := claims.Encode(key)
	if err != nil {
		tb.Fatalf("sign a JWT: %v", err)
	}
	return text
}

func newNKey(tb testing.TB, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	tb.Helper()
	key, err := create()
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}

func public(tb testing.TB, key nkeys.KeyPair) string {
	tb.Helper()
	text, err := key.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}
