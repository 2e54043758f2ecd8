package lotasim

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxKeys is the largest page of a list, and the default.
const maxKeys = 1000

// listResult is ListObjectsV2's answer.
type listResult struct {
	XMLName               xml.Name     `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string       `xml:"Name"`
	Prefix                string       `xml:"Prefix"`
	StartAfter            string       `xml:"StartAfter,omitempty"`
	ContinuationToken     string       `xml:"ContinuationToken,omitempty"`
	NextContinuationToken string       `xml:"NextContinuationToken,omitempty"`
	EncodingType          string       `xml:"EncodingType,omitempty"`
	KeyCount              int          `xml:"KeyCount"`
	MaxKeys               int          `xml:"MaxKeys"`
	IsTruncated           bool         `xml:"IsTruncated"`
	Contents              []listObject `xml:"Contents"`
}

type listObject struct {
	Key          string `xml:"Key"`
	LastModified string `xml:"LastModified"`
	ETag         string `xml:"ETag"`
	Size         int64  `xml:"Size"`
	StorageClass string `xml:"StorageClass"`
}

// objects answers ListObjectsV2. With encoding-type=url keys are escaped as in
// a query; without it a character that XML cannot hold is lost, as in S3.
func (c *Catalogue) objects(w http.ResponseWriter, r *http.Request, bucket string) *s3Error {
	q := r.URL.Query()
	if q.Get("list-type") != "2" || q.Get("delimiter") != "" {
		return &s3Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "only ListObjectsV2 without a delimiter is served"}
	}
	n, e := pageSize(q)
	if e != nil {
		return e
	}
	after := q.Get("start-after")
	token := q.Get("continuation-token")
	if token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return invalidArgument("The continuation token provided is incorrect")
		}
		after = string(last)
	}
	encode := func(s string) string { return s }
	if q.Get("encoding-type") == "url" {
		encode = func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
	}
	page := c.list(bucket, q.Get("prefix"), after, n+1)
	res := listResult{
		Name: bucket, Prefix: encode(q.Get("prefix")), StartAfter: encode(q.Get("start-after")),
		ContinuationToken: token, EncodingType: q.Get("encoding-type"), MaxKeys: n,
		IsTruncated: len(page) > n && n > 0,
	}
	page = page[:min(len(page), n)]
	if res.IsTruncated {
		res.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(page[n-1].key))
	}
	res.KeyCount = len(page)
	for _, o := range page {
		res.Contents = append(res.Contents, listObject{
			Key: encode(o.key), LastModified: lastModified(o.modified), Size: o.size,
			ETag: `"` + etag(bucket, o.key, o.version) + `"`, StorageClass: o.class(),
		})
	}
	body, err := xml.Marshal(res)
	if err != nil {
		return &s3Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: fmt.Sprintf("encode list: %v", err)}
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(append([]byte(xml.Header), body...)) // a client that is gone needs no answer
	return nil
}

func pageSize(q url.Values) (int, *s3Error) {
	if !q.Has("max-keys") {
		return maxKeys, nil
	}
	n, err := strconv.Atoi(q.Get("max-keys"))
	if err != nil || n < 0 {
		return 0, invalidArgument("max-keys must be a number from 0")
	}
	return min(n, maxKeys), nil
}

func invalidArgument(message string) *s3Error {
	return &s3Error{Status: http.StatusBadRequest, Code: "InvalidArgument", Message: message}
}

// listed is an object with its key.
type listed struct {
	key string
	item
}

// list returns the first n objects whose keys start with prefix and come after
// after, in the order of their bytes.
func (c *Catalogue) list(bucket, prefix, after string, n int) []listed {
	c.mu.Lock() // the sorted keys may have to be made
	defer c.mu.Unlock()
	b := c.buckets[bucket]
	if b == nil {
		return nil
	}
	if b.keys == nil {
		b.keys = make([]string, 0, len(b.single))
		for k := range b.single {
			b.keys = append(b.keys, k)
		}
		slices.Sort(b.keys)
	}
	var out []listed
	for len(out) < n {
		key, ok := b.next(prefix, after)
		if !ok {
			break
		}
		if it, ok := b.find(key); ok {
			out = append(out, listed{key, it})
		}
		after = key
	}
	return out
}

// next is the smallest key with the prefix that comes after after.
func (b *catalogueBucket) next(prefix, after string) (string, bool) {
	from := max(prefix, after+"\x00") // the least string that is greater than after
	if after == "" {
		from = prefix
	}
	best, found := "", false
	consider := func(key string) {
		if strings.HasPrefix(key, prefix) && (!found || key < best) {
			best, found = key, true
		}
	}
	if i, _ := slices.BinarySearchFunc(b.keys, from, cmp.Compare[string]); i < len(b.keys) {
		consider(b.keys[i])
	}
	for _, r := range b.ranges {
		if key, ok := r.first(from); ok {
			consider(key)
		}
	}
	return best, found
}
