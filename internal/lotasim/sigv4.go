package lotasim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AWS Signature Version 4 in its header form, as far as a read-only store needs
// it: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	amzTime      = "20060102T150405Z"
	maxSkew      = 15 * time.Minute
)

// emptyHash is the SHA-256 of no bytes.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// signature is an Authorization header taken apart.
type signature struct {
	accessKeyID string
	date        string // of the scope
	region      string
	headers     []string // signed ones, lower case
	hex         string
}

// authField reads one of the comma-separated fields of an Authorization header.
func authField(fields, name string) string {
	for f := range strings.SplitSeq(fields, ",") {
		if k, v, ok := strings.Cut(strings.TrimSpace(f), "="); ok && k == name {
			return v
		}
	}
	return ""
}

func parseSignature(header string) (signature, *s3Error) {
	algorithm, fields, _ := strings.Cut(header, " ")
	if algorithm != sigAlgorithm {
		return signature{}, accessDenied("requests must be signed with " + sigAlgorithm + " in the Authorization header")
	}
	scope := strings.Split(authField(fields, "Credential"), "/")
	sig := signature{
		headers: strings.Split(authField(fields, "SignedHeaders"), ";"),
		hex:     authField(fields, "Signature"),
	}
	n := len(scope)
	if n < 5 || scope[n-1] != "aws4_request" || scope[n-2] != "s3" || sig.hex == "" {
		return signature{}, &s3Error{
			Status: http.StatusBadRequest, Code: "AuthorizationHeaderMalformed",
			Message: "want Credential=KEY/DATE/REGION/s3/aws4_request, SignedHeaders=…, Signature=…",
		}
	}
	sig.accessKeyID, sig.date, sig.region = strings.Join(scope[:n-4], "/"), scope[n-4], scope[n-3]
	return sig, nil
}

// verify checks that r was signed with secret, not long before or after now.
func (sig signature) verify(r *http.Request, secret string, now time.Time) *s3Error {
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(amzTime, stamp)
	switch {
	case err != nil:
		return accessDenied("x-amz-date is missing or not of the form 20060102T150405Z")
	case !strings.HasPrefix(stamp, sig.date):
		return accessDenied("x-amz-date and the credential's date differ")
	case now.Sub(at).Abs() > maxSkew:
		return &s3Error{
			Status: http.StatusForbidden, Code: "RequestTimeTooSkewed",
			Message: "the difference between the request time and the server's time is too large",
		}
	}
	if e := sig.covers(r); e != nil {
		return e
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	switch payload {
	case "UNSIGNED-PAYLOAD", emptyHash:
	case "":
		return &s3Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "Missing required header for this request: x-amz-content-sha256"}
	default:
		return &s3Error{
			Status: http.StatusBadRequest, Code: "XAmzContentSHA256Mismatch",
			Message: "x-amz-content-sha256 is not that of an empty body, and nothing else is served here",
		}
	}

	canonical := sha256.Sum256([]byte(canonicalRequest(r, sig.headers, payload)))
	toSign := strings.Join([]string{
		sigAlgorithm, stamp,
		strings.Join([]string{sig.date, sig.region, "s3", "aws4_request"}, "/"),
		hex.EncodeToString(canonical[:]),
	}, "\n")
	key := []byte("AWS4" + secret)
	for _, step := range []string{sig.date, sig.region, "s3", "aws4_request", toSign} {
		key = mac(key, step)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(key)), []byte(sig.hex)) {
		return &s3Error{
			Status: http.StatusForbidden, Code: "SignatureDoesNotMatch",
			Message: "The request signature we calculated does not match the signature you provided.",
		}
	}
	return nil
}

// covers checks that the signature covers what it must: the host and every
// x-amz header. Range need not be signed, but if it is, it must arrive as signed.
func (sig signature) covers(r *http.Request) *s3Error {
	missing := ""
	if !slices.Contains(sig.headers, "host") {
		missing = "host"
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(sig.headers, name) {
			missing = name
		}
	}
	if missing == "" {
		return nil
	}
	return accessDenied("There were headers present in the request which were not signed: " + missing)
}

func canonicalRequest(r *http.Request, headers []string, payload string) string {
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	path := r.URL.Path
	if path == "" {
		path = "/"
	}
	b.WriteString(uriEncode(path, "/"))
	b.WriteByte('\n')
	b.WriteString(canonicalQuery(r))
	b.WriteByte('\n')
	for _, name := range headers {
		b.WriteString(name + ":" + signedValue(r, name) + "\n")
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(headers, ";"))
	b.WriteByte('\n')
	b.WriteString(payload)
	return b.String()
}

func canonicalQuery(r *http.Request) string {
	var pairs []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			pairs = append(pairs, uriEncode(name, "")+"="+uriEncode(v, ""))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// signedValue is a header as the canonical request has it; net/http keeps some
// headers elsewhere.
func signedValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// uriEncode escapes every byte but the unreserved ones and those of keep.
func uriEncode(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '.', c == '_', c == '~', strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum(nil)
}

func accessDenied(message string) *s3Error {
	return &s3Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: message}
}
