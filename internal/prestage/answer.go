package prestage

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/prestage/prestage/internal/object"
)

const (
	// maxSize is above any object: CoreWeave's limit is 48.8 TiB.
	maxSize = 1 << 50
	// maxTag bounds an ETag or a version id; real ones have 32 to 64 characters.
	maxTag = 1 << 10
	// ClassArchive is the storage class of CoreWeave's archive (release note of 10
	// September 2026).
	ClassArchive = "STANDARD_IA"
)

var errUnexpected = errors.New("an answer that S3 does not have")

// readAnswer reads the answer to a HEAD. Both 200 and 206 are successes: which
// of the two LOTA sends is not documented. So is a 416 to a ranged one.
func readAnswer(r reply, ranged bool) (Answer, error) {
	a := Answer{Status: r.status, Size: object.UnknownSize, Latency: r.latency}
	contentRange := r.header.Get("Content-Range")
	begin := "bytes 0-" // of what was asked for
	if ranged {
		begin = "bytes 0-0/"
	}
	switch {
	case r.status == http.StatusRequestedRangeNotSatisfiable && ranged:
		a.Size = totalOf(contentRange)
		return a, nil
	case r.status == http.StatusOK && contentRange == "":
		a.Size = checkSize(r.length)
	case r.status == http.StatusOK, r.status == http.StatusPartialContent: // whose length is that of the range
		if contentRange != "" && !strings.HasPrefix(contentRange, begin) {
			return Answer{}, fmt.Errorf("an answer about other bytes: Content-Range %q", clean(contentRange))
		}
		a.Size = totalOf(contentRange)
	case http.StatusText(r.status) == "" || success(r.status):
		return Answer{}, errUnexpected
	default:
		return Answer{}, errors.New(http.StatusText(r.status)) // a HEAD has no body to say more
	}
	a.Archived = r.header.Get("X-Amz-Storage-Class") == ClassArchive
	a.ETag = checkTag(object.TrimETag(r.header.Get("Etag")))
	a.ID = checkTag(r.header.Get("X-Amz-Version-Id"))
	if t, err := http.ParseTime(r.header.Get("Last-Modified")); err == nil {
		a.LastModified = t.UTC()
	}
	return a, nil
}

// totalOf reads N of "bytes 0-0/N" or "bytes */N".
func totalOf(contentRange string) int64 {
	rest, ok := strings.CutPrefix(contentRange, "bytes ")
	_, total, cut := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if !ok || !cut || err != nil {
		return object.UnknownSize
	}
	return checkSize(n)
}

func checkSize(n int64) int64 {
	if n < 0 || n > maxSize {
		return object.UnknownSize
	}
	return n
}

// checkTag takes what no store would send for unknown.
func checkTag(s string) string {
	if len(s) > maxTag {
		return ""
	}
	return s
}

// readPage reads a page of a listing. The SDK makes an empty page of whatever is
// no XML; taken for one, all that is there would be gone.
func readPage(bucket string, out *s3.ListObjectsV2Output) (Page, error) {
	if out.Name == nil && out.KeyCount == nil && out.IsTruncated == nil && len(out.Contents) == 0 {
		return Page{}, errors.New("listing: the answer is none")
	}
	page := Page{Objects: make([]object.Attrs, 0, len(out.Contents))}
	for _, o := range out.Contents {
		key := aws.ToString(o.Key)
		if out.EncodingType == types.EncodingTypeUrl {
			plain, err := url.QueryUnescape(key)
			if err != nil {
				return Page{}, fmt.Errorf("listing: key %q is not escaped as it says", key)
			}
			key = plain
		}
		a := object.Attrs{Ref: object.Ref{Bucket: bucket, Key: key}, Size: object.UnknownSize}
		if err := object.CheckKey(key); err != nil {
			return Page{}, fmt.Errorf("listing: %w", err)
		}
		a.ETag = checkTag(object.TrimETag(aws.ToString(o.ETag)))
		a.Archived = o.StorageClass == ClassArchive
		if o.LastModified != nil {
			a.LastModified = o.LastModified.UTC().Truncate(time.Second)
		}
		if o.Size != nil {
			a.Size = checkSize(*o.Size)
		}
		page.Objects = append(page.Objects, a)
	}
	if aws.ToBool(out.IsTruncated) {
		page.Next = aws.ToString(out.NextContinuationToken)
		if page.Next == "" {
			return Page{}, errors.New("listing: cut short without a token to go on")
		}
	}
	return page, nil
}
