package consumer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/prestage/prestage/internal/outcome"
)

// Metrics are the collectors of all lanes of one process.
type Metrics struct {
	events      *prometheus.CounterVec
	toWarm      *prometheus.HistogramVec
	lag         *prometheus.GaugeVec
	oldest      *prometheus.GaugeVec
	deadLetters *prometheus.CounterVec
	stalls      *prometheus.CounterVec
}

// NewMetrics registers the collectors, each label value at 0 from the start.
func NewMetrics(reg prometheus.Registerer, lanes ...string) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "prestage_events_total",
			Help: "Attempts at events by what came of them; pending ones are tried again.",
		}, []string{"lane", "outcome"}),
		toWarm: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "prestage_event_to_warm_seconds",
			Help:    "Time from the stream's timestamp of an event to its receipt saying warm.",
			Buckets: []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 21600, 86400},
		}, []string{"lane"}),
		lag: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "prestage_lag_messages",
			Help: "Messages of the lane that are not settled: not delivered yet, in hand, or waiting for a retry.",
		}, []string{"lane"}),
		oldest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "prestage_oldest_event_age_seconds",
			Help: "Age of the lane's oldest message that is not settled, 0 when there is none.",
		}, []string{"lane"}),
		deadLetters: f.NewCounterVec(prometheus.CounterOpts{
			Name: "prestage_dead_letters_total",
			Help: "Events dead-lettered, by reason.",
		}, []string{"reason"}),
		stalls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "prestage_pull_stalls_total",
			Help: "Times that the lane's pulls stayed empty for 20 s although its consumer had messages to deliver.",
		}, []string{"lane"}),
	}
	for _, lane := range lanes {
		for _, o := range []Outcome{Pending, Warm, Skipped, DeadLettered} {
			m.events.WithLabelValues(lane, string(o))
		}
		m.toWarm.WithLabelValues(lane)
		m.lag.WithLabelValues(lane)
		m.oldest.WithLabelValues(lane)
		m.stalls.WithLabelValues(lane)
	}
	for _, r := range outcome.DeadLetterReasons() {
		m.deadLetters.WithLabelValues(string(r))
	}
	return m
}
