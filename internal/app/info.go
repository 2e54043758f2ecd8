package app

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// registerInfo adds the gauges that say what this process is.
func registerInfo(reg prometheus.Registerer) {
	f := promauto.With(reg)
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "prestage_build_info",
		Help: "Always 1; the labels say what was built.",
	}, []string{"version", "goversion"}).WithLabelValues(version, runtime.Version()).Set(1)
}
