package tracing

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// The variables that say whether there are traces, and where they go.
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
const (
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envDisabled       = "OTEL_SDK_DISABLED"
)

// spoken is the protocol of the exporter that we have.
const spoken = "http/protobuf"

// destination is the host that traces go to, "" when there are to be none. problem
// says what to change for those who may have wanted some. It shows no endpoint,
// which may hold a password.
func destination(environ []string) (host, problem string) {
	vars := make(map[string]string)
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			vars[name] = strings.TrimSpace(value)
		}
	}
	name := envTracesEndpoint
	if vars[name] == "" {
		name = envEndpoint
	}
	by, speak := vars[envExporter], cmp.Or(vars[envTracesProtocol], vars[envProtocol], spoken)
	switch {
	case vars[name] == "", strings.EqualFold(vars[envDisabled], "true"), by == "none":
		return "", ""
	case by != "" && by != "otlp":
		return "", fmt.Sprintf("%s=%q: want otlp or none", envExporter, text(by))
	case speak != spoken:
		return "", fmt.Sprintf("the protocol is %q, and OTLP goes over HTTP here: set %s=%s, and %s to http://host:4318/v1/traces, or wherever the collector takes that",
			text(speak), envTracesProtocol, spoken, envTracesEndpoint)
	}
	u, err := url.Parse(vars[name])
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", name + ": want a URL such as http://host:4318"
	}
	return u.Host, ""
}
