package app

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Build is what the program was built from. Empty fields are not known.
type Build struct {
	Version  string // v1.2.3, or what Go or git make of a commit without a tag
	Revision string // the commit, with +dirty when files were changed
}

// String is the one line of --version.
func (b Build) String() string {
	line := known(b.Version) + " " + runtime.Version()
	if b.Revision != "" {
		line += " " + b.Revision
	}
	return line
}

func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// registerInfo adds the gauges that say what this process is.
func registerInfo(reg prometheus.Registerer, b Build) {
	f := promauto.With(reg)
	f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "prestage_build_info",
		Help: "Always 1; the labels say what was built.",
	}, []string{"version", "revision", "goversion"}).WithLabelValues(known(b.Version), known(b.Revision), runtime.Version()).Set(1)
}
