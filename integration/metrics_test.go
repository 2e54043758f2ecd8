package integration_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// metric reads one sample, named with its labels as the page has them.
func (p *program) metric(t *testing.T, sample string) float64 {
	t.Helper()
	samples := p.metrics(t)
	v, ok := samples[sample]
	if !ok {
		t.Fatalf("/metrics has no %s", sample)
	}
	return v
}

// metrics reads all samples.
func (p *program) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	status, body, err := p.get(t, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("/metrics: status %d, error %v", status, err)
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(body) {
		name, value, ok := cutLast(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("/metrics: %q: %v", line, err)
		}
		samples[name] = v
	}
	return samples
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// TestMetrics reads every metric of the contract after one warm event and one
// that is malformed.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	p := w.run(t)
	w.ends(t, w.object(t, "good", "last.ckpt"), "warm")
	w.ends(t, w.checkpoint(t, "bad", map[string]any{"uri": "not a URI"}), "dead_lettered")
	w.settled(t)

	got := p.metrics(t)
	for sample, want := range map[string]float64{
		`prestage_events_total{lane="checkpoint",outcome="warm"}`:          1,
		`prestage_events_total{lane="checkpoint",outcome="dead_lettered"}`: 1,
		`prestage_events_total{lane="checkpoint",outcome="skipped"}`:       0,
		`prestage_events_total{lane="checkpoint",outcome="pending"}`:       0,
		`prestage_events_total{lane="model",outcome="warm"}`:               0,
		`prestage_objects_total{outcome="filled"}`:                         1,
		`prestage_objects_total{outcome="already_warm"}`:                   0,
		`prestage_objects_total{outcome="skipped"}`:                        0,
		`prestage_objects_total{outcome="failed"}`:                         0,
		`prestage_filled_bytes_total`:                                      large,
		`prestage_event_to_warm_seconds_count{lane="checkpoint"}`:          1,
		`prestage_event_to_warm_seconds_count{lane="model"}`:               0,
		`prestage_fill_seconds_count`:                                      1,
		`prestage_fills_in_flight`:                                         0,
		`prestage_concurrency_limit`:                                       16,
		`prestage_lag_messages{lane="model"}`:                              0,
		`prestage_oldest_event_age_seconds{lane="model"}`:                  0,
		`prestage_dead_letters_total{reason="malformed"}`:                  1,
		`prestage_dead_letters_total{reason="fill_failed"}`:                0,
		`prestage_endpoint_up`:                                             1,
		`prestage_confirm_discriminates`:                                   0,
	} {
		if v, ok := got[sample]; !ok || v != want {
			t.Errorf("%s is %v (present: %t), want %v", sample, v, ok, want)
		}
	}
	for _, sample := range []string{`prestage_lag_messages{lane="checkpoint"}`, `prestage_oldest_event_age_seconds{lane="checkpoint"}`} {
		if _, ok := got[sample]; !ok {
			t.Errorf("/metrics has no %s", sample)
		}
	}
	built := false
	for sample, v := range got {
		built = built || (strings.HasPrefix(sample, "prestage_build_info{") && v == 1)
	}
	if !built {
		t.Error("/metrics has no prestage_build_info of value 1")
	}
	if seconds := got[`prestage_event_to_warm_seconds_sum{lane="checkpoint"}`]; seconds <= 0 {
		t.Errorf("the event took %v seconds to warm, want more than none", seconds)
	}
}
