package tracing

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/prestage/prestage/internal/outcome"
)

func TestAsked(t *testing.T) {
	t.Parallel()
	tracer, made := record()
	began := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	ctx, end := tracer.Consume(t.Context(), Message{Stream: "EVENTS", Received: began})
	Asked(ctx, "fill", began, nil, slog.String("aws.s3.bucket", "ckpt"), slog.Int("tries", 1))
	Asked(ctx, "fill", began, &outcome.Error{Op: "fill", Status: 503, Class: outcome.Transient, Reason: outcome.FillFailed, Err: errors.New("no luck")})
	end()

	spans := made.Ended()
	top := spans[2].SpanContext()
	for i, want := range []map[string]string{
		{"aws.s3.bucket": "ckpt", "prestage.tries": "1"},
		{"http.response.status_code": "503", "error.type": "fill_failed"},
	} {
		s := spans[i]
		if s.Name() != "fill" || s.SpanKind() != trace.SpanKindClient || !s.StartTime().Equal(began) || s.Parent().SpanID() != top.SpanID() || s.SpanContext().TraceID() != top.TraceID() {
			t.Errorf("%s, %s, from %s, below %v", s.Name(), s.SpanKind(), s.StartTime(), s.Parent())
		}
		if diff := cmp.Diff(want, attributesOf(s)); diff != "" {
			t.Errorf("attributes of span %d (-want +got):\n%s", i, diff)
		}
	}
	if s := spans[0].Status(); s.Code != codes.Unset {
		t.Errorf("filled: %v", s)
	}
	if s := spans[1].Status(); s.Code != codes.Error || !strings.Contains(s.Description, "no luck") {
		t.Errorf("failed: %v", s)
	}
}

// TestQuota has a message ask for far more than anybody would look at.
func TestQuota(t *testing.T) {
	t.Parallel()
	tracer, made := record()
	ctx, end := tracer.Consume(t.Context(), Message{Stream: "EVENTS"})
	for i := range 1000 {
		var err error
		if i >= 500 {
			err = errors.New("no luck")
		}
		Asked(ctx, "fill", time.Now(), err)
	}
	for range 40 {
		Asked(ctx, "list", time.Now(), nil)
	}
	Asked(ctx, "confirm", time.Now(), nil)
	end()

	count := make(map[string]int)
	var top sdk.ReadOnlySpan
	for _, s := range made.Ended() {
		count[fmt.Sprint(s.Name(), " ", s.Status().Code)]++
		top = s
	}
	want := map[string]int{"fill Unset": maxSpans, "fill Error": maxFailed, "list Unset": maxSpans, "confirm Unset": 1, "process EVENTS Unset": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if got := attributesOf(top)["prestage.spans_left_out"]; got != "944" {
		t.Errorf("%s spans are said to be left out", got)
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		level  slog.Level
		attrs  []slog.Attr
		want   map[string]string
		status sdk.Status
	}{
		"warm": {
			level: slog.LevelInfo, attrs: []slog.Attr{slog.String("outcome", "warm"), slog.Int64("bytes", 7), slog.Bool("b", true), slog.Float64("s", 1.5), slog.Uint64("u", 1<<63)},
			want: map[string]string{"prestage.outcome": "warm", "prestage.bytes": "7", "prestage.b": "true", "prestage.s": "1.5", "prestage.u": "9223372036854775807"},
		},
		"dead-lettered": {
			level: slog.LevelError, attrs: []slog.Attr{slog.String("reason", "not_found"), slog.String("error", "it is not there")},
			want:   map[string]string{"prestage.reason": "not_found", "prestage.error": "it is not there", "error.type": "not_found"},
			status: sdk.Status{Code: codes.Error, Description: "it is not there"},
		},
		"it waits": {
			level: slog.LevelWarn, attrs: []slog.Attr{slog.String("error", "no luck"), slog.Any("cause", errors.New("why"))},
			want:   map[string]string{"prestage.error": "no luck", "prestage.cause": "why", "error.type": "_OTHER"},
			status: sdk.Status{Code: codes.Error, Description: "no luck"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer, made := record()
			req, end := tracer.Consume(t.Context(), Message{Stream: "EVENTS"})
			Note(req, tt.level, tt.attrs...)
			end()
			span := made.Ended()[0]
			got := attributesOf(span)
			for key := range got {
				if strings.HasPrefix(key, "messaging.") {
					delete(got, key)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.status, span.Status()); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

// TestText: what is no UTF-8 would have the whole batch refused.
func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                        "plain",
		"a\xffb":                       "a\uFFFDb",
		strings.Repeat("a", maxText):   strings.Repeat("a", maxText),
		strings.Repeat("a", maxText+1): strings.Repeat("a", maxText-3) + "…",
		strings.Repeat("ä", maxText):   strings.Repeat("ä", (maxText-3)/2) + "\uFFFD…",
	} {
		if got := text(in); got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q of %d bytes is %.20q of %d", in, len(in), got, len(got))
		}
	}
}

// FuzzArrived has any text come: what goes on is a trace context, or nothing.
func FuzzArrived(f *testing.F) {
	f.Add(parent, "a=1,b=2")
	f.Add("cc"+parent[2:]+"-more", "a@b=1")
	f.Add("", "a=1")
	f.Fuzz(func(t *testing.T, from, state string) {
		p, s := Carry(arrived(t.Context(), from, state))
		if p == "" && s != "" {
			t.Errorf("a state %q without a parent", s)
		}
		if p != "" && (len(p) != len(parent) || len(s) > maxState || strings.ContainsAny(p+s, "\r\n\x00")) {
			t.Errorf("%q and %q became %q and %q", from, state, p, s)
		}
	})
}
