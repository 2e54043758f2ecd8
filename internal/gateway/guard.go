package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/events"
)

// guard is how a route's senders prove that they know one of its secrets.
type guard struct {
	scheme string // of WWW-Authenticate, where there is one
	signed bool   // the proof is over the body
	check  func(secrets []string, r proof) error
}

// proof is what a check looks at.
type proof struct {
	header http.Header
	body   []byte // nil unless the guard is of the signed kind
	now    time.Time
}

func itself(secret string) string { return secret }

var errSecret = errors.New("it is none of this route's secrets")

// bearer wants a token, as RFC 6750 describes it.
var bearer = guard{scheme: "Bearer", check: func(secrets []string, p proof) error {
	scheme, token, _ := strings.Cut(p.header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return errors.New("send Authorization: Bearer, with one of PRESTAGE_GATEWAY_TOKENS")
	}
	if !anyMatches(secrets, strings.TrimSpace(token), itself) {
		return errSecret
	}
	return nil
}}

// bearerOrPassword also takes the token as the password of basic
// authentication, whatever the user name: SNS can send nothing else, and that only
// after it was asked for it. Who has a token need not be asked.
// https://repost.aws/knowledge-center/sns-topic-https-endpoints-notification
var bearerOrPassword = guard{scheme: "Basic", check: func(secrets []string, p proof) error {
	if _, password, ok := (&http.Request{Header: p.header}).BasicAuth(); ok {
		if !anyMatches(secrets, password, itself) {
			return errSecret
		}
		return nil
	}
	return bearer.check(secrets, p)
}}

// authorization wants the whole header to be the secret, which is what Harbor's
// field "Auth Header" sends.
var authorization = guard{check: func(secrets []string, p proof) error {
	given := p.header.Get("Authorization")
	if given == "" {
		return errors.New("send one of PRESTAGE_GATEWAY_HARBOR_SECRETS as the whole value of Authorization (Harbor's Auth Header)")
	}
	if !anyMatches(secrets, given, itself) {
		return errSecret
	}
	return nil
}}

// sharedSecret is Hugging Face's: the secret itself, which only TLS keeps.
// https://huggingface.co/docs/hub/webhooks
var sharedSecret = guard{check: func(secrets []string, p proof) error {
	given := p.header.Get("X-Webhook-Secret")
	if given == "" {
		return errors.New("send one of PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS as X-Webhook-Secret")
	}
	if !anyMatches(secrets, given, itself) {
		return errSecret
	}
	return nil
}}

// mlflowTolerance is how far from now a delivery's time may be. MLflow keeps it
// through its retries, which are done within a minute or so.
const mlflowTolerance = 5 * time.Minute

// mlflowSignature is MLflow's: "v1," and the base64 of an HMAC-SHA256 over the
// delivery id, a dot, the time in Unix seconds, a dot, and the body.
// https://mlflow.org/docs/latest/ml/webhooks
var mlflowSignature = guard{signed: true, check: func(secrets []string, p proof) error {
	const stampHeader, signatureHeader = "X-MLflow-Timestamp", "X-MLflow-Signature"
	// Of two ids the first would be checked here, and make no identity there.
	for _, name := range []string{events.HeaderDeliveryID, stampHeader, signatureHeader} {
		if len(p.header.Values(name)) > 1 {
			return errors.New("send " + events.HeaderDeliveryID + ", " + stampHeader + " and " + signatureHeader + " once each")
		}
	}
	id, stamp, signature := p.header.Get(events.HeaderDeliveryID), p.header.Get(stampHeader), p.header.Get(signatureHeader)
	if id == "" || stamp == "" || signature == "" {
		return errors.New("X-MLflow-Signature, X-MLflow-Delivery-Id or X-MLflow-Timestamp is missing: give the webhook a secret")
	}
	ok := anyMatches(secrets, signature, func(secret string) string {
		return "v1," + base64HMAC(secret, []byte(id+"."+stamp+"."), p.body)
	})
	if !ok {
		return errors.New("X-MLflow-Signature is by none of this route's secrets, or the request was changed")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("X-MLflow-Timestamp is no number of seconds")
	}
	// Compared as whole seconds: a Duration would overflow.
	if now, most := p.now.Unix(), int64(mlflowTolerance.Seconds()); seconds < now-most || seconds > now+most {
		return errors.New("X-MLflow-Timestamp is more than five minutes away from this host's clock")
	}
	return nil
}}

// wandbSignature is that of W&B: the base64 of an HMAC-SHA256 over the body. It
// has no time, so that only the message id keeps it from being replayed.
// https://docs.wandb.ai/models/automations/create-automations/webhook
var wandbSignature = guard{signed: true, check: func(secrets []string, p proof) error {
	signature := p.header.Get("X-Wandb-Signature")
	if signature == "" {
		return errors.New("X-Wandb-Signature is missing: give the webhook a secret")
	}
	if !anyMatches(secrets, signature, func(secret string) string { return base64HMAC(secret, p.body) }) {
		return errors.New("X-Wandb-Signature is by none of this route's secrets, or the request was changed")
	}
	return nil
}}

func base64HMAC(secret string, parts ...[]byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, p := range parts {
		mac.Write(p) // a hash's Write never fails
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
