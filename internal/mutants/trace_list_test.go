package mutants_test

// traceMutants break what is told to an OpenTelemetry collector.
var traceMutants = []mutant{
	{
		"traces are exported only when that is set, and hold nothing up", "without an endpoint they go to the default one",
		"internal/tracing/start.go", `	if to == "" {`, `	if to == "" && problem != "" {`,
		"internal/tracing", "TestStartWithoutEndpoint",
	},
	{
		"traces are exported only when that is set, and hold nothing up", "OTEL_SDK_DISABLED is not looked at",
		"internal/tracing/destination.go", `strings.EqualFold(vars[envDisabled], "true")`, "false",
		"internal/tracing", "TestDestination",
	},
	{
		"traces are exported only when that is set, and hold nothing up", "a protocol that is not spoken is spoken to",
		"internal/tracing/destination.go", "	case speak != spoken:", "	case false:",
		"integration", "TestNoTraces",
	},
	{
		"traces are exported only when that is set, and hold nothing up", "the end waits for the collector",
		"internal/tracing/start.go", "context.WithoutCancel(ctx), flushTimeout)", "context.WithoutCancel(ctx), time.Hour)",
		"integration", "TestCollectorFails",
	},
	{
		"traces are exported only when that is set, and hold nothing up", "each export that fails is logged",
		"internal/tracing/start.go", "&rate.Sometimes{First: 3, Interval: 10 * time.Minute}", "&rate.Sometimes{Every: 1}",
		"integration", "TestCollectorFails",
	},
	{
		"traces are exported only when that is set, and hold nothing up", "each object of an event has a span",
		"internal/tracing/quota.go", "	case q.made[name] < maxSpans:", "	case true:",
		"internal/tracing", "TestQuota",
	},
	{
		"an event is in its producer's trace", "what came is not joined",
		"internal/tracing/carry.go", "	return propagation.TraceContext{}.Extract(ctx, came)", "	return ctx",
		"internal/tracing", "TestConsume",
	},
	{
		"an event is in its producer's trace", "the CloudEvent's extension is not read",
		"internal/events/cloudevents.go", `	if ev.TraceParent == "" {`, "	if false {",
		"internal/events", "TestCorpora",
	},
	{
		"an event is in its producer's trace", "the gateway puts its own in place of the event's",
		"internal/gateway/take.go", "		if !l.traced {", "		if true {",
		"internal/gateway", "TestTraceOfRequests",
	},
	{
		"an event is in its producer's trace", "the result does not go on",
		"internal/consumer/result.go", "	ce.TraceParent, ce.TraceState = tracing.Carry(ctx)", "	_, _ = tracing.Carry(ctx)",
		"internal/consumer", "TestTraceGoesOn",
	},
	{
		"an event is in its producer's trace", "a failed attempt's span is one that went well",
		"internal/tracing/span.go", "	if level < slog.LevelWarn {", "	if true {",
		"internal/consumer", "TestTrace",
	},
	{
		"spans show no secret, and no text breaks them", "OpenTelemetry's log shows the headers that it cannot read",
		"internal/tracing/start.go", `	told.AddAttrs(slog.String("at", r.Message))`, "	told = r",
		"internal/tracing", "TestDiscreet",
	},
	{
		"spans show no secret, and no text breaks them", "text that is no UTF-8 is sent",
		"internal/tracing/attribute.go", `	return strings.ToValidUTF8(s, "\uFFFD")`, "	return s",
		"internal/tracing", "TestText",
	},
	{
		"spans show no secret, and no text breaks them", "a trace context of any size is read",
		"internal/tracing/carry.go", "	if len(state) <= maxState {", "	if true {",
		"internal/tracing", "TestArrived",
	},
}
