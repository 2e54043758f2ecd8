package prestage

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prestage/prestage/internal/object"
)

// maxProbed bounds what is read of the body of an answer to a probe.
const maxProbed = 4 << 10

// Probe reads n bytes at offset of the version etag and returns how long the
// first byte of the answer took. What a connection took is left out.
func (h *heads) Probe(ctx context.Context, ref object.Ref, etag string, offset, n int64) (time.Duration, error) {
	want := fmt.Sprintf("bytes %d-%d/", offset, offset+n-1)
	r, took, err := h.timed(ctx, message{
		op: "probe", method: http.MethodGet, ref: ref,
		byteRange: fmt.Sprintf("bytes=%d-%d", offset, offset+n-1), ifMatch: etag,
	})
	switch {
	case err != nil:
		return 0, err
	case r.status != http.StatusPartialContent:
		return 0, statusError("probe", ref, r.status, r.header, fmt.Errorf("%d to a range", r.status))
	case !strings.HasPrefix(r.header.Get("Content-Range"), want):
		return 0, statusError("probe", ref, 0, nil, errUnexpected)
	}
	return took, nil
}

// TimeHead sends a plain HEAD and returns how long the answer took, as Probe does.
func (h *heads) TimeHead(ctx context.Context, ref object.Ref) (time.Duration, error) {
	r, took, err := h.timed(ctx, message{op: "head", method: http.MethodHead, ref: ref})
	if err != nil {
		return 0, err
	}
	if _, err := readAnswer(r, false); err != nil {
		return 0, statusError("head", ref, r.status, r.header, err)
	}
	return took, nil
}

// timed sends m, and tells what the answer took from the request on.
func (h *heads) timed(ctx context.Context, m message) (r reply, took time.Duration, err error) {
	var sent, first atomic.Int64 // a transport may call late
	start := time.Now()
	r, err = h.exchange(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent.Store(int64(time.Since(start))) },
		GotFirstResponseByte: func() { first.Store(int64(time.Since(start))) },
	}), m)
	if took = time.Duration(first.Load() - sent.Load()); took <= 0 {
		took = r.latency
	}
	return r, took, err
}
