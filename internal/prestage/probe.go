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
	var sent, first atomic.Int64 // a transport may call late
	start := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent.Store(int64(time.Since(start))) },
		GotFirstResponseByte: func() { first.Store(int64(time.Since(start))) },
	})
	want := fmt.Sprintf("bytes %d-%d/", offset, offset+n-1)
	r, err := h.exchange(ctx, message{
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
	if took := time.Duration(first.Load() - sent.Load()); took > 0 {
		return took, nil
	}
	return r.latency, nil
}
