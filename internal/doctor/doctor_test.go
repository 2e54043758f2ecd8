package doctor

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/natstest"
)

// Names of the findings in a set-up in which all is well, in their order.
var (
	before  = []string{"nats", "nats version", "clock of nats", "jetstream", "stream EVENTS"}
	lanes   = []string{"subjects", "consumer prestage-default-model", "consumer prestage-default-checkpoint", "overlaps"}
	outputs = []string{"stream PRESTAGE_RESULTS", "stream PRESTAGE_DLQ", "kv prestage_objects", "kv prestage_receipts", "permissions"}
	reads   = []string{
		"region", "credentials", "endpoint", "clock of lota", "dns", "bucket ckpt", "list", "object s3://ckpt/run/a",
	}
)

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	js := ns.JetStream(t)
	r := newRig(t, ns.URL(), nil)
	r.options.Target = ckpt

	all := r.examine(t)
	holds(t, all)
	if diff := cmp.Diff(slices.Concat(before, outputs, reads), names(all)); diff != "" {
		t.Errorf("before the daemon ran:\n%s", diff)
	}
	info, err := js.AccountInfo(t.Context())
	if err != nil || info.Streams != 0 || info.Consumers != 0 {
		t.Errorf("the examination has made %+v, %v", info, err)
	}

	provision(t, js, nil)
	all = r.examine(t)
	holds(t, all)
	if diff := cmp.Diff(slices.Concat(before, lanes, outputs, reads), names(all)); diff != "" {
		t.Errorf("after the daemon ran:\n%s", diff)
	}
	if n := r.sim.Count(lotasim.Filter{Range: "bytes=0-0"}); n != 0 || r.sim.Truth("ckpt", "run/a").Cached {
		t.Errorf("%d ranged requests", n)
	}
	if n := r.sim.Count(lotasim.Filter{Method: "HEAD"}); n != 4 { // the bucket and an object, twice
		t.Errorf("%d HEADs", n)
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	r := newRig(t, ns.URL(), nil)
	for _, tt := range []struct {
		ahead  time.Duration
		status Status
	}{{20 * time.Second, OK}, {-40 * time.Second, Warn}, {6 * time.Minute, Fail}, {-6 * time.Minute, Fail}} {
		r.now = func() time.Time { return time.Now().Add(tt.ahead) }
		all := r.examine(t)
		for _, f := range all {
			if strings.HasPrefix(f.Name, "clock") && (f.Status != tt.status || tt.status != OK && !strings.Contains(f.Remedy, "NTP")) {
				t.Errorf("%s ahead: %s", tt.ahead, f)
			}
		}
		if got := names(all); !slices.Contains(got, "clock of nats") || !slices.Contains(got, "clock of lota") {
			t.Errorf("only %v", got)
		}
	}
}

// A signal ends the examination, and what it makes fail is not told.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	r := newRig(t, ns.URL(), nil)
	r.options.Config = parse(t, r.environ...)
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	Examine(ctx, r.options, func(f Finding) {
		got = append(got, f.Name)
		if f.Name == "jetstream" {
			cancel()
		}
	})
	if diff := cmp.Diff(before[:4], got); diff != "" {
		t.Error(diff)
	}
}

func TestFindingIsOneLine(t *testing.T) {
	t.Parallel()
	f := Finding{Name: "stream \x1b[2J", Status: Fail, Seen: "a\nb", Remedy: "c"}
	if got, want := f.String(), "fail  stream ?[2J: a?b; remedy: c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
