package lotasim

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/prestage/prestage/internal/object"
)

// Request is one request as it arrived and what became of it.
type Request struct {
	Seq         uint64        `json:"seq"` // from 1, in order of arrival
	Time        time.Time     `json:"time"`
	Duration    time.Duration `json:"duration_ns"` // 0 while it is not done
	Listener    string        `json:"listener"`
	Method      string        `json:"method"`
	Host        string        `json:"host"`
	Bucket      string        `json:"bucket"`
	Key         string        `json:"key"` // plain
	URI         string        `json:"uri"` // as sent, without what a signature would give away
	Range       string        `json:"range"`
	RangeSigned bool          `json:"range_signed"`  // Range is among the signed headers
	AccessKeyID string        `json:"access_key_id"` // as claimed; the signature is not kept
	Status      int           `json:"status"`        // 0: no answer (yet)
	ETag        string        `json:"etag"`          // of the version that was answered, without quotes
	Filled      Filled        `json:"filled"`        // told only once it is done
	Done        bool          `json:"done"`
	Aborted     bool          `json:"aborted"` // the client left, or the connection was cut
}

// Filter selects requests; a zero field lets everything through.
type Filter struct {
	Listener string
	Method   string
	Bucket   string
	Key      string
	Prefix   string // of the key
	Range    string // exactly this header
}

// record is a Request in little memory: a million of them are an ordinary test.
type record struct {
	at, took                     int64
	key                          string
	uri                          string // "" where it is "/" + key
	etag                         string
	listener, method, host       unique.Handle[string]
	bucket, byteRange, accessKey unique.Handle[string]
	filled                       Filled
	status                       int16
	rangeSigned, done, aborted   bool
}

// history is a ring of the latest requests.
type history struct {
	mu    sync.Mutex
	limit int
	ring  []record
	count uint64 // requests ever
}

// begin notes a request that has arrived and returns its number.
func (h *history) begin(rec record) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) < h.limit {
		h.ring = append(h.ring, rec)
	} else {
		h.ring[h.count%uint64(h.limit)] = rec
	}
	h.count++
	return h.count
}

// end notes what became of request seq, if it is still remembered.
func (h *history) end(seq uint64, took time.Duration, status int, etag string, filled Filled, aborted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count-seq >= uint64(h.limit) {
		return
	}
	rec := &h.ring[(seq-1)%uint64(h.limit)]
	rec.took, rec.status, rec.etag = int64(took), int16(status), clip(etag, 128)
	rec.filled, rec.aborted, rec.done = filled, aborted, true
}

func (h *history) lost() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(h.count) - int64(len(h.ring))
}

// History lists the remembered requests that f lets through, the oldest first.
// A request is in it from the moment it arrives.
func (s *Sim) History(f Filter) []Request {
	var out []Request
	s.history.each(f, func(seq uint64, r *record) { out = append(out, r.request(seq)) })
	return out
}

// Count tells how many requests History(f) would list.
func (s *Sim) Count(f Filter) int {
	n := 0
	s.history.each(f, func(uint64, *record) { n++ })
	return n
}

func (h *history) each(f Filter, yield func(seq uint64, r *record)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for seq := h.count - uint64(len(h.ring)) + 1; seq <= h.count; seq++ {
		if r := &h.ring[(seq-1)%uint64(h.limit)]; f.passes(r) {
			yield(seq, r)
		}
	}
}

func (f Filter) passes(r *record) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(f.Listener, r.listener.Value()) && is(f.Method, r.method.Value()) && is(f.Bucket, r.bucket.Value()) &&
		is(f.Key, r.key) && strings.HasPrefix(r.key, f.Prefix) && is(f.Range, r.byteRange.Value())
}

func (r *record) request(seq uint64) Request {
	uri := r.uri
	if uri == "" {
		uri = "/" + r.key
	}
	return Request{
		Seq: seq, Time: time.Unix(0, r.at), Duration: time.Duration(r.took),
		Listener: r.listener.Value(), Method: r.method.Value(), Host: r.host.Value(),
		Bucket: r.bucket.Value(), Key: r.key, URI: uri,
		Range: r.byteRange.Value(), RangeSigned: r.rangeSigned, AccessKeyID: r.accessKey.Value(),
		Status: int(r.status), ETag: r.etag, Filled: r.filled, Done: r.done, Aborted: r.aborted,
	}
}

// newRecord takes from r what is worth remembering, bounded, and no secret.
func newRecord(listener string, ref object.Ref, r *http.Request, at time.Time) record {
	who, signed := claimed(r)
	rec := record{
		at:          at.UnixNano(),
		key:         clip(ref.Key, object.MaxKeyBytes),
		listener:    unique.Make(listener),
		method:      unique.Make(clip(r.Method, 32)),
		host:        unique.Make(clip(r.Host, 256)),
		bucket:      unique.Make(ref.Bucket),
		byteRange:   unique.Make(clip(strings.Join(r.Header["Range"], ", "), 256)),
		accessKey:   unique.Make(clip(who, 128)),
		rangeSigned: signed,
		filled:      FillNone,
	}
	if uri := redact(r); uri != "/"+rec.key {
		rec.uri = clip(uri, 4096)
	}
	return rec
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

// claimed reads who says to have signed r, and whether Range was signed.
func claimed(r *http.Request) (accessKeyID string, rangeSigned bool) {
	credential, headers := "", ""
	if _, fields, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		credential, headers = authField(fields, "Credential"), authField(fields, "SignedHeaders")
	} else if r.URL.RawQuery != "" {
		q := r.URL.Query()
		credential, headers = q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders")
	}
	accessKeyID, _, _ = strings.Cut(credential, "/")
	for h := range strings.SplitSeq(headers, ";") {
		rangeSigned = rangeSigned || strings.EqualFold(h, "range")
	}
	return accessKeyID, rangeSigned
}

// redact is the request's URI as sent, without the secrets of a presigned one.
func redact(r *http.Request) string {
	uri, query, ok := strings.Cut(r.RequestURI, "?")
	if !ok {
		return r.RequestURI
	}
	params := strings.Split(query, "&")
	for i, p := range params {
		name, _, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		switch strings.ToLower(name) {
		case "x-amz-signature", "x-amz-security-token":
			params[i] = name + "=REDACTED"
		}
	}
	return uri + "?" + strings.Join(params, "&")
}
