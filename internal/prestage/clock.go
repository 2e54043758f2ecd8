package prestage

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxSkew is how far a signature's time may be off before it is suspected to be
// why a request was refused. S3 allows 15 minutes.
const maxSkew = 4 * time.Minute

// serverClock is our clock, set right by what a server said was wrong with it.
// The SDK's client would only do so between tries of its own, of which it has
// none here.
type serverClock struct{ ahead atomic.Int64 } // the server's, in nanoseconds

// now is the time to sign with.
func (c *serverClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// corrects learns from the Date of a refusal of what was signed at the time
// signed. It says whether that was far off, so that another try makes sense. A
// correction that is no longer right is undone in the same way.
func (c *serverClock) corrects(signed time.Time, date string) bool {
	server, err := http.ParseTime(date)
	if err != nil || server.Sub(signed).Abs() < maxSkew {
		return false
	}
	c.ahead.Store(int64(time.Until(server)))
	return true
}

// clockSigner has the SDK's client sign with a serverClock.
type clockSigner struct {
	signer *v4.Signer
	clock  *serverClock
}

// SignHTTP is that of v4.Signer, but for the time.
func (s clockSigner) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.signer.SignHTTP(ctx, creds, r, hash, service, region, s.clock.now(), opts...)
}

// inTime has the SDK's client send a request, and once more when it was refused
// for the time that it was signed with.
func inTime[T any](c *serverClock, send func() (T, error)) (T, error) {
	signed := c.now()
	v, err := send()
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusForbidden &&
		c.corrects(signed, answer.HTTPResponse().Header.Get("Date")) {
		return send()
	}
	return v, err
}
