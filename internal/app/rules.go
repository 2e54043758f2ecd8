package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/rules"
)

// openRules reads the rules file, if there is one. The error is a *SettingError.
func openRules(cfg Config, d Deps) (*rules.Live, error) {
	buckets, err := prestage.ParseBuckets(cfg.Buckets)
	if err != nil {
		return nil, &SettingError{Name: "PRESTAGE_BUCKETS", Want: err.Error()}
	}
	live, err := rules.Open(cfg.Rules, buckets.Allow, d.Log)
	if err != nil {
		return nil, &SettingError{Name: "PRESTAGE_RULES", Want: err.Error()} // which names the file
	}
	promauto.With(d.Registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "prestage_rules_refused",
		Help: "1: the rules file has changed and is refused, the rules that it held before hold on.",
	}, func() float64 {
		if live.Err() != nil {
			return 1
		}
		return 0
	})
	return live, nil
}
