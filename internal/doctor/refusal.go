package doctor

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prestage/prestage/internal/outcome"
)

// accessDenied is S3's code for a policy that does not allow, as opposed to a
// signature that nobody accepts.
const accessDenied = "AccessDenied"

// bothPermissions is what reading a bucket takes.
const bothPermissions = "have the organisation's and the bucket's policy allow s3:GetObject and s3:ListBucket to these credentials"

// refused complains of err. The remedy is for what explained says, which is an
// answer with a body to the same person, or err itself.
func (d *doctor) refused(t *topic, err, explained error) {
	e := outcome.As(err)
	switch {
	case errors.Is(err, outcome.Interrupted):
		t.fail("is the bucket's name right? it is a part of a host's name, and one that does not exist may never answer", "no answer within %s", d.limit)
		return
	case e.Status == 0:
		t.fail("see what is said of the credentials and of the endpoint, and whether the bucket's name is right", "%v", e.Err)
		return
	case e.Status == http.StatusNotFound:
		t.fail("is the bucket's name right?", "does not exist (HTTP 404)")
		return
	case e.Status >= 500 || e.Status == http.StatusTooManyRequests:
		t.warn("try again; the daemon waits meanwhile", "HTTP %d", e.Status)
		return
	}
	seen := fmt.Sprintf("HTTP %d", e.Status)
	why := code(explained)
	if why != "" {
		seen += " " + why
	}
	region := fmt.Sprintf("set AWS_REGION to the bucket's availability zone, such as US-EAST-04A (it is %s now)", d.signedFor())
	const newBucket = "; a bucket answers so too in its first minute: then wait"
	switch why {
	case "InvalidRegion", "AuthorizationHeaderMalformed":
		t.fail(region+newBucket, "%s: signed for the wrong region", seen)
	case "InvalidToken":
		t.fail("unset AWS_SESSION_TOKEN, which CoreWeave's access keys do not have", "%s", seen)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		t.fail("correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and unset AWS_SESSION_TOKEN", "%s", seen)
	case "RequestTimeTooSkewed":
		t.fail("synchronise this host's clock (NTP)", "%s", seen)
	case accessDenied:
		t.fail(bothPermissions, "%s", seen)
	default:
		t.fail(region+", or unset AWS_SESSION_TOKEN"+newBucket, "%s", seen)
	}
}

// denied says that the answer was 401 or 403.
func denied(err error) bool {
	if err == nil {
		return false
	}
	status := outcome.As(err).Status
	return status == http.StatusForbidden || status == http.StatusUnauthorized
}

// code is what S3 called its refusal; "" when there is no answer that says it.
func code(err error) string {
	if err == nil {
		return ""
	}
	e := outcome.As(err)
	if e.Status == 0 || e.Err == nil {
		return ""
	}
	return e.Err.Error()
}
