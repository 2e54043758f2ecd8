package lotasim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// ServeHTTP answers a virtual-hosted S3 request; the bucket is the host's first
// label, whatever the domain.
func (c *Catalogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "lotasim")
	bucket, _, _ := strings.Cut(hostname(r.Host), ".")
	ref := object.Ref{Bucket: bucket, Key: strings.TrimPrefix(r.URL.Path, "/")}
	if e := c.serve(w, r, ref); e != nil {
		e.write(w, r)
	}
}

func (c *Catalogue) serve(w http.ResponseWriter, r *http.Request, ref object.Ref) *s3Error {
	who, e := c.authenticate(r)
	if e != nil {
		return e
	}
	head := r.Method == http.MethodHead
	if !head && r.Method != http.MethodGet {
		return &s3Error{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: "this catalogue is read-only"}
	}
	allowed := who.mayUse(ref.Bucket)
	switch {
	case !c.HasBucket(ref.Bucket):
		return &s3Error{Status: http.StatusNotFound, Code: "NoSuchBucket", Message: "The specified bucket does not exist"}
	case ref.Key != "" && allowed && !who.DenyGet:
		return c.object(w, r, ref, who)
	case ref.Key == "" && allowed && head:
		w.Header().Set("X-Amz-Bucket-Region", c.opts.Region)
		w.WriteHeader(http.StatusOK)
		return nil
	case ref.Key == "" && allowed && !who.DenyList:
		return c.objects(w, r, ref.Bucket)
	}
	return accessDenied("Access Denied")
}

// authenticate finds out whose signature r bears.
func (c *Catalogue) authenticate(r *http.Request) (Credential, *s3Error) {
	sig, e := parseSignature(r.Header.Get("Authorization"))
	if e != nil {
		return Credential{}, e
	}
	i := slices.IndexFunc(c.opts.Credentials, func(k Credential) bool { return k.AccessKeyID == sig.accessKeyID })
	if i < 0 {
		return Credential{}, &s3Error{
			Status: http.StatusForbidden, Code: "InvalidAccessKeyId",
			Message: "The AWS Access Key Id you provided does not exist in our records.",
		}
	}
	if r.Header.Get("X-Amz-Security-Token") != "" { // CoreWeave's keys come without one
		return Credential{}, &s3Error{Status: http.StatusBadRequest, Code: "InvalidToken", Message: "The provided token is malformed or otherwise invalid."}
	}
	if c.opts.StrictRegion && sig.region != c.opts.Region {
		return Credential{}, &s3Error{
			Status: http.StatusBadRequest, Code: "AuthorizationHeaderMalformed",
			Message: "the region " + strconv.Quote(sig.region) + " is wrong; expecting " + strconv.Quote(c.opts.Region),
		}
	}
	who := c.opts.Credentials[i]
	e = sig.verify(r, who.SecretAccessKey, c.opts.Now())
	if e != nil && e.Code == "SignatureDoesNotMatch" && c.opts.BadSignatureAs400 {
		e.Status = http.StatusBadRequest
	}
	return who, e
}

func (k Credential) mayUse(bucket string) bool {
	return len(k.Buckets) == 0 || slices.ContainsFunc(k.Buckets, func(pattern string) bool { return glob(pattern, bucket) })
}

// object answers GetObject and HeadObject.
func (c *Catalogue) object(w http.ResponseWriter, r *http.Request, ref object.Ref, who Credential) *s3Error {
	it, e := c.requested(w, r, ref.Bucket, ref.Key)
	switch {
	case e != nil && e.Status == http.StatusNotFound && who.DenyList:
		return accessDenied("Access Denied")
	case e != nil:
		return e
	}
	tag := etag(ref.Bucket, ref.Key, it.version)
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	status, e := precondition(r, tag)
	if e != nil {
		return e
	}
	first, length, e := byteRange(w, r, it.size)
	if e != nil {
		return e
	}
	h.Set("ETag", `"`+tag+`"`)
	if it.archived { // as AWS, which leaves the header out for STANDARD
		h.Set("X-Amz-Storage-Class", it.class())
	}
	h.Set("Last-Modified", it.modified.UTC().Format(http.TimeFormat))
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return nil
	}
	if length >= 0 {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+length-1, it.size))
		status = http.StatusPartialContent
	} else {
		length = it.size
	}
	h.Set("Content-Type", "binary/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, it.content(tag, first, length)) // a client that is gone needs no more
	}
	return nil
}

// precondition answers If-Match and If-None-Match, which win in this order.
func precondition(r *http.Request, tag string) (int, *s3Error) {
	if want := r.Header.Get("If-Match"); want != "" && !anyTag(want, tag) {
		return 0, &s3Error{
			Status: http.StatusPreconditionFailed, Code: "PreconditionFailed",
			Message: "At least one of the pre-conditions you specified did not hold",
		}
	}
	if not := r.Header.Get("If-None-Match"); not != "" && anyTag(not, tag) {
		return http.StatusNotModified, nil
	}
	return http.StatusOK, nil
}

func anyTag(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimSpace(t); t == "*" || object.TrimETag(t) == tag {
			return true
		}
	}
	return false
}

// byteRange reads the Range header: where it starts, and how long it is, -1 for
// the whole object. What S3 doesn't understand, several ranges among it, it
// ignores; a range beyond the object is refused.
func byteRange(w http.ResponseWriter, r *http.Request, size int64) (first, length int64, e *s3Error) {
	spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	from, to, dash := strings.Cut(spec, "-")
	if !ok || !dash {
		return 0, -1, nil
	}
	a, aErr := strconv.ParseInt(from, 10, 64)
	b, bErr := strconv.ParseInt(to, 10, 64)
	switch {
	case from == "" && bErr == nil: // the last b bytes
		a, b = max(0, size-b), size-1
		if to == "0" {
			a = size
		}
	case aErr == nil && to == "":
		b = size - 1
	case aErr == nil && bErr == nil && a <= b:
		b = min(b, size-1)
	default:
		return 0, -1, nil
	}
	if a >= size {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return 0, 0, &s3Error{
			Status: http.StatusRequestedRangeNotSatisfiable, Code: "InvalidRange",
			Message: "The requested range is not satisfiable",
		}
	}
	return a, b - a + 1, nil
}

// content reads length bytes of the object from offset first.
func (it item) content(tag string, first, length int64) io.Reader {
	if it.body != nil {
		return bytes.NewReader(it.body[first : first+length])
	}
	seed, err := strconv.ParseUint(tag[:16], 16, 64)
	if err != nil {
		seed = 0 // cannot be: a tag is hex
	}
	return &generated{seed: seed, offset: uint64(first), left: length}
}

// generated yields bytes that depend only on the version and the offset.
type generated struct {
	seed, offset uint64
	left         int64
}

func (g *generated) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), g.left)]
	for n := 0; n < len(p); {
		at := g.offset + uint64(n)
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(g.seed+at/8))
		n += copy(p[n:], word[at%8:])
	}
	g.offset += uint64(len(p))
	g.left -= int64(len(p))
	return len(p), nil
}

// lastModified is a time as lists have it.
func lastModified(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
