package budget

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are what this package tells Prometheus.
type Metrics struct{ limit, used, waiting prometheus.Gauge }

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	return &Metrics{
		limit: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_budget_bytes",
			Help: "Bytes that the cluster may fill in an hour, 0 when there is no PRESTAGE_BUDGET.",
		}),
		used: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_budget_used_bytes",
			Help: "Bytes that the cluster filled in the last hour, all instances together; known only with PRESTAGE_BUDGET.",
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "prestage_budget_waiting_fills",
			Help: "Fills of this instance that wait for PRESTAGE_BUDGET.",
		}),
	}
}
