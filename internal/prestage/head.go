package prestage

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// oneByte makes a HEAD fill the cache: "If bytes=0-0 is not included in the
// HeadObject request, no tier transition will occur" (CoreWeave release note,
// March 2026).
const oneByte = "bytes=0-0"

// hashOfNothing is the SHA-256 of an empty body.
const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// heads sends HeadObject. It signs with the SDK's signer and sends through a
// transport, without the SDK's client between them: nearly all of what a HEAD
// costs would be the client's (docs/benchmarks.md). It is a Filler, and a Reader
// of a few bytes.
type heads struct {
	endpoint    *url.URL
	region      string
	credentials aws.CredentialsProvider // the SDK's cache, asked for each request: they rotate
	signer      *v4.Signer
	transport   http.RoundTripper
	clock       serverClock
}

func newHeads(cfg aws.Config, endpoint *url.URL, transport http.RoundTripper) *heads {
	return &heads{
		endpoint: endpoint, region: cfg.Region, credentials: credentials{cfg.Credentials}, transport: transport,
		// S3 signs a path as it is sent, escaped once.
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}
}

// Fill sends the ranged HEAD.
func (h *heads) Fill(ctx context.Context, ref object.Ref) (Answer, error) {
	return h.ask(ctx, "fill", ref, oneByte)
}

// Head sends a plain HEAD.
func (h *heads) Head(ctx context.Context, ref object.Ref) (Answer, error) {
	return h.ask(ctx, "head", ref, "")
}

func (h *heads) ask(ctx context.Context, op string, ref object.Ref, byteRange string) (Answer, error) {
	r, err := h.exchange(ctx, message{op: op, method: http.MethodHead, ref: ref, byteRange: byteRange})
	if err != nil {
		return Answer{}, err
	}
	a, err := readAnswer(r, byteRange != "")
	if err != nil {
		return Answer{}, statusError(op, ref, r.status, r.header, err)
	}
	return a, nil
}

// message is a request for one object.
type message struct {
	op, method string
	ref        object.Ref
	byteRange  string // "": all
	ifMatch    string // ETag, "": any
}

// reply is an answer as it came.
type reply struct {
	status  int
	header  http.Header
	length  int64 // of the body that a GET would bring, -1 when unknown
	latency time.Duration
}

// exchange sends m, and once more when it was refused for the time that it was
// signed with.
func (h *heads) exchange(ctx context.Context, m message) (reply, error) {
	if err := object.CheckKey(m.ref.Key); err != nil { // without a key it would be about the bucket
		return reply{}, &outcome.Error{Op: m.op, Ref: m.ref, Class: outcome.Permanent, Reason: outcome.Malformed, Err: err}
	}
	signed := h.clock.now()
	r, err := h.send(ctx, m, signed)
	if err == nil && r.status == http.StatusForbidden && h.clock.corrects(signed, r.header.Get("Date")) {
		r, err = h.send(ctx, m, h.clock.now())
	}
	if err != nil {
		return reply{}, classify(ctx, m.op, m.ref, err)
	}
	return r, nil
}

// send signs and sends one request.
func (h *heads) send(ctx context.Context, m message, at time.Time) (reply, error) {
	creds, err := h.credentials.Retrieve(ctx)
	if err != nil {
		return reply{}, err
	}
	host := m.ref.Bucket + "." + h.endpoint.Host
	r := (&http.Request{
		Method: m.method, Host: host,
		URL: &url.URL{
			Scheme: h.endpoint.Scheme, Host: host,
			Path: "/" + m.ref.Key, RawPath: "/" + httpbinding.EscapePath(m.ref.Key, false),
		},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"prestage"}, "X-Amz-Content-Sha256": {hashOfNothing}},
	}).WithContext(ctx)
	if m.byteRange != "" {
		r.Header["Range"] = []string{m.byteRange}
	}
	if m.ifMatch != "" {
		r.Header["If-Match"] = []string{`"` + m.ifMatch + `"`}
	}
	if err := h.signer.SignHTTP(ctx, creds, r, hashOfNothing, "s3", h.region, at); err != nil {
		return reply{}, err
	}
	start := time.Now()
	resp, err := h.transport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	out := reply{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength, latency: time.Since(start)}
	if m.method != http.MethodHead { // a body that is read leaves the connection to others
		_, _ = io.CopyN(io.Discard, resp.Body, maxProbed)
	}
	return out, nil
}
