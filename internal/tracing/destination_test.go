package tracing

import (
	"strings"
	"testing"
)

func TestDestination(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ string
		host    string
		problem string // a part of it
	}{
		"nothing":                   {},
		"no endpoint":               {environ: "OTEL_SERVICE_NAME=x OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318"},
		"an empty one":              {environ: "OTEL_EXPORTER_OTLP_ENDPOINT="},
		"an endpoint":               {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", host: "collector:4318"},
		"one for traces":            {environ: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://t.example/v1/traces?a=b", host: "t.example"},
		"the one for traces counts": {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=no OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://t", host: "t"},
		"the last one counts":       {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://a OTEL_EXPORTER_OTLP_ENDPOINT=http://b", host: "b"},
		"the protocol that we speak": {
			environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_TRACES_EXPORTER=otlp OTEL_SDK_DISABLED=false", host: "c",
		},
		"disabled":    {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_SDK_DISABLED=True"},
		"no exporter": {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_TRACES_EXPORTER=none"},
		"another one": {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_TRACES_EXPORTER=zipkin", problem: `OTEL_TRACES_EXPORTER="zipkin": want otlp or none`},
		"gRPC":        {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", problem: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"},
		"gRPC but for traces": {
			environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", host: "c",
		},
		"gRPC, disabled":  {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_SDK_DISABLED=true"},
		"JSON":            {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_EXPORTER_OTLP_PROTOCOL=http/json", problem: `"http/json"`},
		"no scheme":       {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=hush:4318", problem: "OTEL_EXPORTER_OTLP_ENDPOINT: want a URL"},
		"another scheme":  {environ: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=grpc://hush:4317", problem: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: want a URL"},
		"no host":         {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http:///hush", problem: "OTEL_EXPORTER_OTLP_ENDPOINT: want a URL"},
		"no URL":          {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://me:hush@c:%zz", problem: "OTEL_EXPORTER_OTLP_ENDPOINT: want a URL"},
		"with a password": {environ: "OTEL_EXPORTER_OTLP_ENDPOINT=http://me:hush@c:4318", host: "c:4318"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, problem := destination(strings.Fields(tt.environ))
			if host != tt.host || !strings.Contains(problem, tt.problem) || (problem == "") != (tt.problem == "") {
				t.Errorf("to %q, %q; want %q, %q", host, problem, tt.host, tt.problem)
			}
			if strings.Contains(host+problem, "hush") {
				t.Errorf("it tells the endpoint: %q, %q", host, problem)
			}
		})
	}
}
