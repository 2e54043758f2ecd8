package lotasim

import (
	"net"
	"net/http"
	"strings"

	"github.com/prestage/prestage/internal/object"
)

// address reads what a virtual-hosted request names: the bucket is the host's
// first label, the key the path without its first slash, un-escaped once. A
// proxy-form request says the same by its absolute URI, which net/http has
// already moved into r.Host.
func address(domain string, r *http.Request) (object.Ref, *s3Error) {
	host := hostname(r.Host)
	if host == domain {
		return object.Ref{}, &s3Error{
			Status: http.StatusBadRequest, Code: "PathStyleRequestNotAllowed",
			Message: "path style requests are not allowed for this method",
		}
	}
	bucket, ok := strings.CutSuffix(host, "."+domain)
	if !ok {
		return object.Ref{}, &s3Error{
			Status: http.StatusMisdirectedRequest, Code: "InvalidRequest",
			Message: "this listener serves <bucket>." + domain + " only",
		}
	}
	if err := object.CheckBucket(bucket); err != nil {
		return object.Ref{}, &s3Error{Status: http.StatusBadRequest, Code: "InvalidBucketName", Message: err.Error()}
	}
	ref := object.Ref{Bucket: bucket, Key: strings.TrimPrefix(r.URL.Path, "/")}
	if ref.Key == "" {
		return ref, nil
	}
	if err := object.CheckKey(ref.Key); err != nil {
		return ref, &s3Error{Status: http.StatusBadRequest, Code: "InvalidArgument", Message: err.Error()}
	}
	return ref, nil
}

// hostname is a Host header in lower case, without the port.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}

// rewritesObject says that the request, if it succeeds, makes another version
// of its object or removes it. Parts, tags and the like don't.
func rewritesObject(r *http.Request) bool {
	q := r.URL.Query()
	switch r.Method {
	case http.MethodPost:
		return q.Has("uploadId")
	case http.MethodPut, http.MethodDelete:
		q.Del("x-id") // the AWS SDK's label
		q.Del("versionId")
		return len(q) == 0 || q.Has("renameObject")
	}
	return false
}
