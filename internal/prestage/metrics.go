package prestage

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are what this package tells Prometheus. Objects are counted once for
// each event that names them; a fill that several events share counts its bytes
// and its time once.
type Metrics struct {
	filled, alreadyWarm, skipped, failed prometheus.Counter

	filledBytes   prometheus.Counter
	refilledBytes prometheus.Counter
	fillSeconds   prometheus.Histogram
	inFlight      prometheus.Gauge
	limit         prometheus.Gauge
	endpoint      prometheus.Gauge
	tells         prometheus.Gauge
}

// NewMetrics registers the metrics with reg. It panics when they are there
// already, as MustRegister does.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	objects := f.NewCounterVec(prometheus.CounterOpts{
		Name: "prestage_objects_total",
		Help: "Objects of events by what became of them.",
	}, []string{"outcome"})
	return &Metrics{
		filled:      objects.WithLabelValues("filled"),
		alreadyWarm: objects.WithLabelValues("already_warm"),
		skipped:     objects.WithLabelValues("skipped"),
		failed:      objects.WithLabelValues("failed"),
		filledBytes: f.NewCounter(prometheus.CounterOpts{
			Name: "prestage_filled_bytes_total",
			Help: "Bytes of the objects that LOTA was asked to fill and accepted, as far as their sizes are known.",
		}),
		refilledBytes: f.NewCounter(prometheus.CounterOpts{
			Name: "prestage_refilled_bytes_total",
			Help: "Of the bytes filled, those of an object that was on record in the same version: its record was too old, or was to be ignored.",
		}),
		fillSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "prestage_fill_seconds",
			Help:    "Time from a ranged HEAD to its successful answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 900},
		}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_fills_in_flight",
			Help: "Ranged HEADs that wait for their answer.",
		}),
		limit: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_concurrency_limit",
			Help: "Most requests that may be under way at once at present.",
		}),
		endpoint: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_endpoint_up",
			Help: "1 while the LOTA endpoint can be dialled, else 0.",
		}),
		tells: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_confirm_discriminates",
			Help: "1 while this endpoint lets fills be known as synchronous or verified. PRESTAGE_CONFIRM=response claims neither: 0.",
		}),
	}
}

func (m *Metrics) endpointUp(up bool) { set(m.endpoint, up) }

// EndpointTells says whether the endpoint lets us know more than that a fill was
// accepted.
func (m *Metrics) EndpointTells(tells bool) { set(m.tells, tells) }

func set(g prometheus.Gauge, on bool) {
	if on {
		g.Set(1)
		return
	}
	g.Set(0)
}
