package prestage

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/tracing"
)

// TestSpans: what is asked of the store is told, with what was sent for it.
func TestSpans(t *testing.T) {
	t.Parallel()
	page := func(string, string) (Page, error) {
		return Page{Objects: []object.Attrs{{Ref: ckpt("run/a"), Size: 1000}}}, nil
	}
	for name, tt := range map[string]struct {
		store *fakeStore
		req   Request
		dry   bool
		want  []string // name, key and attributes
	}{
		"one object": {
			store: &fakeStore{fill: always("e")}, req: Request{Objects: unsized("k")},
			want: []string{"fill k status=206 tries=1 bytes=1000 error="},
		},
		"a prefix": {
			store: &fakeStore{fill: always("e"), list: page}, req: Request{Prefix: ckpt("run/"), Complete: true},
			want: []string{"list run/ status= tries= bytes= error=", "fill run/a status=206 tries=1 bytes=1000 error="},
		},
		"one that is missing": {
			store: &fakeStore{fill: fails(outcome.Failed)}, req: Request{Objects: unsized("k")},
			want: []string{"fill k status=404 tries=1 bytes= error=not_found"},
		},
		"one that is throttled": {
			store: &fakeStore{fill: fails(outcome.Throttled)}, req: Request{Objects: unsized("k")},
			want: []string{"fill k status=503 tries=4 bytes= error=fill_failed"},
		},
		"a manifest that is missing": {
			store: &fakeStore{get: func(ref object.Ref) ([]byte, error) { return nil, failure(outcome.Failed, ref) }}, req: Request{Manifest: ckpt("m.json")},
			want: []string{"get m.json status=404 tries= bytes= error=not_found"},
		},
		"a dry run": {
			store: &fakeStore{head: always("e")}, req: Request{Objects: unsized("k")}, dry: true,
			want: []string{"head k status=206 tries=1 bytes=1000 error="},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.store)
				if r.warmer.dryRun = tt.dry; tt.dry {
					r.warmer.store = dryStore{tt.store}
				}
				made := tracetest.NewSpanRecorder()
				ctx, end := tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(made))).Consume(t.Context(), tracing.Message{Stream: "EVENTS"})
				r.warmer.Warm(ctx, ctx, tt.req, NewProgress())
				end()

				var got []string
				spans := made.Ended()
				top := spans[len(spans)-1].SpanContext().SpanID()
				for _, s := range spans[:len(spans)-1] {
					attrs := make(map[string]string)
					for _, a := range s.Attributes() {
						attrs[string(a.Key)] = a.Value.String()
					}
					if attrs["aws.s3.bucket"] != "ckpt" || s.Parent().SpanID() != top {
						t.Errorf("%s: %v below %s", s.Name(), attrs, s.Parent().SpanID())
					}
					got = append(got, fmt.Sprintf("%s %s status=%s tries=%s bytes=%s error=%s", s.Name(), attrs["aws.s3.key"],
						attrs["http.response.status_code"], attrs["prestage.tries"], attrs["prestage.bytes"], attrs["error.type"]))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("spans (-want +got):\n%s%s", diff, strings.Join(tt.store.requests(), ", "))
				}
			})
		})
	}
}
