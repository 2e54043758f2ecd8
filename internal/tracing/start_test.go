package tracing

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
)

// TestStartWithoutEndpoint: that is what most do, and it leaves nothing behind.
func TestStartWithoutEndpoint(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	tracer, stop := Start(t.Context(), []string{"OTEL_SERVICE_NAME=x"}, "v1", log)
	stop()
	if tracer != nil || out.Len() != 0 {
		t.Errorf("%v, %s", tracer, out.String())
	}
	tracer, stop = Start(t.Context(), []string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"}, "v1", log)
	stop()
	if tracer != nil || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "OTEL_EXPORTER_OTLP_ENDPOINT: want") {
		t.Errorf("%v, %s", tracer, out.String())
	}
}

// TestDiscreet: what the libraries say of headers that they cannot read is a secret.
func TestDiscreet(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logr.FromSlogHandler(discreet{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})})
	log.Error(errors.New("hush1"), "parse headers", "input", "hush2")
	log.WithValues("a", "hush3").WithName("hush4").Error(nil, "parse more headers")
	log.Info("hush5")
	log.V(8).Info("hush6")
	got := out.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `level=WARN msg="a setting of OpenTelemetry cannot be read" at="parse headers"`) || !strings.Contains(got, `at="parse more headers"`) {
		t.Errorf("logged:\n%s", got)
	}
	if strings.Contains(got, "hush") {
		t.Errorf("it tells values:\n%s", got)
	}
}
