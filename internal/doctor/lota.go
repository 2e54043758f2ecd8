package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/prestage/prestage/internal/prestage"
)

// pathStyleCode is the code of LOTA's answer to a path-style request, seen by
// several of its users.
const pathStyleCode = "PathStyleRequestNotAllowed"

// maxAnswer bounds what is read of the endpoint's answer.
const maxAnswer = 4 << 10

// lota looks at the endpoint and, if there is a target, at its bucket.
func (d *doctor) lota(ctx context.Context) {
	u, err := d.Config.LOTAURL()
	if err != nil {
		d.topic("endpoint").fail("set LOTA_ENDPOINT=http://cwlota.com", "%v", err)
		return
	}
	// Its time-out is no check's, or either might end a request that hangs.
	transport := prestage.NewTransport(1, 2*d.limit, d.Config.LOTADial)
	defer transport.CloseIdleConnections()
	reached := d.endpoint(ctx, u, transport)
	switch {
	case d.Target.Bucket == "":
		d.topic("bucket").warn("add --bucket NAME, or --uri s3://bucket/key", "none was named: whether requests are signed well and permitted was not tried")
	case reached:
		d.bucket(ctx, u, transport)
	}
}

// endpoint says whether there is something at u that speaks HTTP, and whether
// it looks like LOTA.
func (d *doctor) endpoint(ctx context.Context, u *url.URL, transport *http.Transport) (reached bool) {
	t := d.topic("endpoint")
	untrusted := d.Config
	untrusted.LOTATrustEndpoint = false
	if _, err := untrusted.LOTAURL(); err != nil {
		t.warn("set LOTA_ENDPOINT=http://cwlota.com and unset LOTA_TRUST_ENDPOINT, unless this is the emulator or a test",
			"%s is not known to be LOTA: another store answers the ranged HEAD with success and fills nothing", u.Host)
	}
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	addr := d.Config.LOTAAddr(u)
	conn, err := transport.DialContext(ctx, "tcp", addr)
	if err != nil {
		t.fail("run inside a CoreWeave cluster, which alone reaches LOTA, or correct LOTA_DIAL or LOTA_ENDPOINT", "%s cannot be dialled: %v", addr, err)
		return false
	}
	_ = conn.Close()

	// LOTA refuses path-style requests, signed or not, which few other stores do.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("prestage-doctor").String(), http.NoBody)
	if err != nil {
		t.fail("correct LOTA_ENDPOINT", "%v", err)
		return false
	}
	began := d.now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.fail("see what LOTA_ENDPOINT or LOTA_DIAL leads to: LOTA speaks plain HTTP", "%s accepts connections, but %s", addr, noAnswer(err))
		return false
	}
	ended := d.now()
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status tells as well
	switch {
	case resp.StatusCode != http.StatusBadRequest:
		t.warn("see what LOTA_ENDPOINT or LOTA_DIAL leads to: a proxy, or another store?",
			"answers a path-style request with HTTP %d, where LOTA answers 400: this may not be LOTA", resp.StatusCode)
	case !bytes.Contains(body, []byte(pathStyleCode)):
		t.fine("%s at %s answers, and refuses a path-style request with HTTP 400", u.Host, addr)
	default:
		t.fine("%s at %s answers, and refuses a path-style request as LOTA does (%s)", u.Host, addr, pathStyleCode)
	}
	if theirs, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		d.clock("lota", theirs, began, ended)
	}
	return true
}

// noAnswer is an error of a round trip in words that hold no URL.
func noAnswer(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "does not answer in time"
	case errors.As(err, &op):
		return "the connection breaks: " + op.Error()
	case errors.Is(err, io.EOF):
		return "closes them before an answer"
	default:
		return "what it answers is not HTTP"
	}
}
