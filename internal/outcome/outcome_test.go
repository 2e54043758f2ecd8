package outcome

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var classes = []Class{Failed, Transient, Throttled, Refused, Unreachable, Permanent, Interrupted}

func TestErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("slow down")
	ref := object.Ref{Bucket: "ckpt", Key: "a\nb"}
	for want, e := range map[string]*Error{
		`fill`:                        {Op: "fill"},
		`decode: slow down`:           {Op: "decode", Err: cause},
		`fill "s3://ckpt/a\nb"`:       {Op: "fill", Ref: ref},
		`head: HTTP 403`:              {Op: "head", Status: 403},
		`list: HTTP 400 (look there)`: {Op: "list", Status: 400, Hint: "look there"},
		`fill "s3://ckpt/a\nb": HTTP 503: slow down (wait)`: {Op: "fill", Ref: ref, Status: 503, Err: cause, Hint: "wait", Class: Throttled, Reason: FillFailed},
	} {
		if diff := cmp.Diff(want, e.Error()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestErrorIs(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, c := range classes {
		if c.Error() == "" {
			t.Errorf("class %d has no name", c)
		}
		for _, err := range []error{&Error{Class: c}, fmt.Errorf("wrapped: %w", &Error{Class: c, Err: cause})} {
			for _, other := range classes {
				if got := errors.Is(err, other); got != (c == other) {
					t.Errorf("%v is %v: %v", c, other, got)
				}
			}
		}
	}
	if !errors.Is(&Error{Class: Failed, Err: cause}, cause) || errors.Is(&Error{Class: Failed}, cause) {
		t.Error("the cause is lost, or made up")
	}
}

func TestAs(t *testing.T) {
	t.Parallel()
	e := &Error{Op: "fill", Class: Refused, Reason: Forbidden}
	if got := As(fmt.Errorf("wrapped: %w", e)); got != e {
		t.Errorf("got %+v", got)
	}
	plain := errors.New("plain")
	got := As(plain)
	if got.Class != Failed || got.Reason != FillFailed || !errors.Is(got, plain) {
		t.Errorf("got %+v", got)
	}
}

func TestWorse(t *testing.T) {
	t.Parallel()
	all := DeadLetterReasons()
	for i, a := range all {
		for j, b := range all {
			if got := Worse(a, b); got != (i < j) {
				t.Errorf("%s is worse than %s: %v", a, b, got)
			}
		}
		if !Worse(a, "") || !Worse(a, TooSmall) || Worse("", a) || Worse(TooSmall, a) {
			t.Errorf("%s against what is no dead letter's reason", a)
		}
	}
	if Worse("", "") {
		t.Error("nothing is worse than nothing")
	}
}

// TestVocabulary: the words that users know.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	letters := []Reason{
		"malformed", "unsupported", "bucket_not_allowed", "unresolvable_source", "not_found",
		"forbidden", "bad_request", "incomplete", "fill_failed", "unconfirmed",
	}
	skips := []Reason{"too_small", "empty", "already_warm", "superseded", "gone", "not_actionable", "awaits_marker", "excluded", "dry_run"}
	if diff := cmp.Diff(slices.Sorted(slices.Values(letters)), slices.Sorted(slices.Values(DeadLetterReasons()))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(skips)), slices.Sorted(slices.Values(SkipReasons()))); diff != "" {
		t.Error(diff)
	}
	// The lists are the caller's own.
	DeadLetterReasons()[0], SkipReasons()[0] = "x", "x"
	if DeadLetterReasons()[0] == "x" || SkipReasons()[0] == "x" {
		t.Error("a caller can change the vocabulary")
	}
}

func TestWeaker(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want Verdict }{
		{"", "", ""},
		{Accepted, "", Accepted},
		{Synchronous, Accepted, Accepted},
		{Verified, Synchronous, Synchronous},
		{Verified, Verified, Verified},
		{Verified, Accepted, Accepted},
	} {
		if got := Weaker(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %q", tt.a, tt.b, got)
		}
		if got := Weaker(tt.b, tt.a); got != tt.want {
			t.Errorf("%q and %q: %q", tt.b, tt.a, got)
		}
	}
}
