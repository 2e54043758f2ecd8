package events

// readTrace reads the trace context, which is nobody's business but a tracing
// system's: what cannot be read is as if it were not there. In headers it is that
// of the message, in a CloudEvent's attributes that of whoever made the event.
// https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md
func (ev *Event) readTrace(get func(name string) (value string, present bool, err error)) {
	parent, _, err := get("traceparent")
	if err != nil || parent == "" {
		return
	}
	ev.TraceParent = parent
	if state, _, err := get("tracestate"); err == nil {
		ev.TraceState = state
	}
}
