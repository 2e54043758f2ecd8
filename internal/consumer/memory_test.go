package consumer

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	var m memory
	p := prestage.NewProgress()
	m.keep("a", p)
	if got := m.take("a"); got != p {
		t.Error("the progress of a is another")
	}
	if got := m.take("a"); got == p || got == nil {
		t.Error("taken twice")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m memory
	latest := prestage.NewProgress()
	for i := range 5 * maxRemembered {
		m.keep(strconv.Itoa(i), latest)
		m.keep("again", latest) // an event that is tried over and over
		m.take("again")
	}
	if len(m.byKey) > maxRemembered || len(m.order) > maxRemembered {
		t.Errorf("%d events in the map, %d in the list", len(m.byKey), len(m.order))
	}
	if m.take(strconv.Itoa(5*maxRemembered-1)) != latest {
		t.Error("the latest is forgotten")
	}
	if m.take("0") == latest {
		t.Error("the first is not forgotten")
	}
}

// An event that is tried again very often is not forgotten for that.
func TestMemoryOfOneEvent(t *testing.T) {
	t.Parallel()
	var m memory
	p := prestage.NewProgress()
	for i := range 3 * maxRemembered {
		m.keep("event", p)
		if m.take("event") != p {
			t.Fatalf("lost at attempt %d", i+1)
		}
	}
}

// Large events are forgotten sooner, the oldest first.
func TestMemoryOfLargeEvents(t *testing.T) {
	t.Parallel()
	m := memory{limit: 100}
	large := progressOf(t, 40)
	for i := range 7 {
		m.keep(strconv.Itoa(i), large)
	}
	if len(m.order) != 2 || m.size != 80 {
		t.Errorf("%d events of %d objects are remembered", len(m.order), m.size)
	}
	if m.take("6"); m.size != 40 {
		t.Errorf("one of 40 is left, and that is %d objects", m.size)
	}
}

// progressOf is that of an event that has filled n objects.
func progressOf(t *testing.T, n int) *prestage.Progress {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	metrics := prestage.NewMetrics(prometheus.NewRegistry())
	endpoint := prestage.NewEndpoint(prestage.EndpointConfig{Metrics: metrics, Log: log})
	guard := prestage.NewGuard(endpoint, prestage.NewLimiter(10), nil)
	buckets, err := prestage.ParseBuckets([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	planner, err := prestage.NewPlanner(prestage.PlannerConfig{Store: filler{}, Guard: guard, Buckets: buckets, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	warmer, err := prestage.NewWarmer(prestage.WarmerConfig{
		Store: filler{}, Planner: planner, Guard: guard, Ledger: dedupe.NewMemory(),
		TTL: time.Hour, FillTimeout: time.Minute, Metrics: metrics, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	var req prestage.Request
	for i := range n {
		req.Objects = append(req.Objects, object.Attrs{Ref: object.Ref{Bucket: "ckpt", Key: strconv.Itoa(i)}, Size: 1000})
	}
	p := prestage.NewProgress()
	if r := warmer.Warm(t.Context(), t.Context(), req, p); r.Objects.Filled != n || p.Len() != n {
		t.Fatalf("%+v, %d remembered", r, p.Len())
	}
	return p
}

// filler fills everything; nothing else is asked of it.
type filler struct{ prestage.Catalogue }

func (filler) Fill(context.Context, object.Ref) (prestage.Answer, error) {
	return prestage.Answer{Status: 206, Size: 1000}, nil
}

func (filler) Head(context.Context, object.Ref) (prestage.Answer, error) {
	return prestage.Answer{Status: 200, Size: 1000}, nil
}
