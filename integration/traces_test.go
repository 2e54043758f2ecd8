package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// What producers send: W3C's example, and the parts of it.
const (
	traceParent  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	producerID   = "0af7651916cd43dd8448eb211c80319c"
	producerSpan = "b7ad6b7169203331"
)

// TestTraces follows events from their producers' traces to the results.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	w := newWorld(t, nil)
	w.put("a", "b", "c", "d/1", "d/2")
	p := w.run(t, c.settings("OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+mark, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")...)

	attribute := func(m *nats.Msg) {
		var event map[string]any
		if err := json.Unmarshal(m.Data, &event); err != nil {
			t.Error(err)
		}
		event["traceparent"], event["tracestate"] = traceParent, "vendor=1"
		m.Data, _ = json.Marshal(event)
	}
	for name, tt := range map[string]struct {
		uri    string
		change func(*nats.Msg)
		joined bool
	}{
		"header":     {uri("a"), func(m *nats.Msg) { m.Header.Set("traceparent", traceParent) }, true},
		"structured": {uri("b"), attribute, true},
		"binary": {uri("c"), func(m *nats.Msg) {
			m.Header = nats.Header{
				"ce-specversion": {"1.0"}, "ce-type": {"ai.checkpoint.written.v1"}, "ce-source": {source}, "ce-id": {"binary"},
				"ce-traceparent": {traceParent}, "Content-Type": {"application/json"},
			}
			m.Data = fmt.Appendf(nil, `{"uri":%q}`, uri("c"))
		}, true},
		"neither": {uri("d/"), func(m *nats.Msg) { m.Header.Set("traceparent", "00-what-ever") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := checkpointEvent(t, name, map[string]any{"uri": tt.uri, "complete": true})
			tt.change(m)
			s := sent{cluster: "default", id: name, source: source, seq: w.publish(t, m)}
			w.ends(t, s, "warm")

			top := c.has(t, 1, "process EVENTS", about(s))[0]
			if joined := top.trace == producerID && top.parent == producerSpan; joined != tt.joined || (top.parent != "") != tt.joined {
				t.Errorf("trace %s below %q", top.trace, top.parent)
			}
			objects := 1
			if name == "neither" {
				objects = 2
				list := c.has(t, 1, "list", below(top))[0]
				if list.attrs["aws.s3.bucket"] != bucket || list.attrs["aws.s3.key"] != "d/" {
					t.Errorf("a listing %v", list.attrs)
				}
			}
			checkTop(t, top, s, objects)
			for _, fill := range c.has(t, objects, "fill", below(top)) {
				checkFill(t, fill)
			}
			checkResultsTrace(t, w, s, top)
		})
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.header.Get("Authorization"); got != "Bearer "+mark {
		t.Errorf("the collector's secret is %q", got)
	}
	about := c.spans[0].resource
	if about["service.name"] != "prestage" || about["deployment.environment.name"] != "test" || about["host.name"] == "" {
		t.Errorf("the resource is %v", about)
	}
	for _, s := range c.spans {
		if text := fmt.Sprint(s); strings.Contains(text, mark) || strings.Contains(text, secretKey) || strings.Contains(text, accessKey) {
			t.Errorf("a secret in a span: %s", text)
		}
	}
	if strings.Contains(p.stderr.String(), mark) {
		t.Error("the collector's secret is in the log")
	}
}

func checkTop(t *testing.T, top span, s sent, objects int) {
	t.Helper()
	delete(top.attrs, "prestage.event_to_warm_seconds")
	if diff := cmp.Diff(map[string]string{
		"messaging.system": "nats", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "EVENTS", "messaging.message.id": fmt.Sprintf("EVENTS/%d", s.seq),
		"prestage.event_id": s.id, "prestage.source": source, "prestage.subject": checkpointSubject, "prestage.cluster": "default",
		"prestage.lane": "checkpoint", "prestage.deliveries": "1", "prestage.outcome": "warm", "prestage.verdict": "accepted", "prestage.attempts": "1",
		"prestage.objects": fmt.Sprint(objects), "prestage.filled": fmt.Sprint(objects), "prestage.already_warm": "0", "prestage.skipped": "0",
		"prestage.failed": "0", "prestage.bytes": fmt.Sprint(objects * large),
	}, top.attrs); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if top.kind != "SPAN_KIND_CONSUMER" || top.failed {
		t.Errorf("%s, failed: %v", top.kind, top.failed)
	}
}

func checkFill(t *testing.T, fill span) {
	t.Helper()
	status := fill.attrs["http.response.status_code"]
	if status != "200" && status != "206" {
		t.Errorf("status %s", status)
	}
	delete(fill.attrs, "http.response.status_code")
	if !strings.HasPrefix(fill.attrs["aws.s3.key"], "d/") && len(fill.attrs["aws.s3.key"]) != 1 {
		t.Errorf("key %q", fill.attrs["aws.s3.key"])
	}
	delete(fill.attrs, "aws.s3.key")
	if diff := cmp.Diff(map[string]string{
		"aws.s3.bucket": bucket, "http.request.method": "HEAD", "prestage.tries": "1", "prestage.bytes": fmt.Sprint(large),
	}, fill.attrs); diff != "" {
		t.Errorf("attributes of a fill (-want +got):\n%s", diff)
	}
}

// checkResultsTrace wants the result to go on where the span was.
func checkResultsTrace(t *testing.T, w *world, s sent, top span) {
	t.Helper()
	results, err := w.js.Stream(t.Context(), resultsStream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := results.GetLastMsgForSubject(t.Context(), s.subject("warmed"))
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ TraceParent, TraceState string }
	if err := json.Unmarshal(m.Data, &result); err != nil {
		t.Fatal(err)
	}
	if want := "00-" + top.trace + "-" + top.id + "-01"; result.TraceParent != want {
		t.Errorf("the result goes on in %q, want %q", result.TraceParent, want)
	}
	if s.id == "structured" && result.TraceState != "vendor=1" {
		t.Errorf("the result's tracestate is %q", result.TraceState)
	}
}

// TestTraceOfAttempts: each attempt at an event is a span in its producer's trace.
func TestTraceOfAttempts(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	w := newWorld(t, nil)
	w.run(t, c.settings()...)
	m := checkpointEvent(t, "late", map[string]any{"uri": uri("late")})
	m.Header.Set("Traceparent", traceParent)
	s := sent{cluster: "default", id: "late", source: source, seq: w.publish(t, m)}
	failed := func(s span) bool { return s.failed }
	eventually(t, "an attempt fails", func() error {
		if len(c.all("process EVENTS", failed)) == 0 {
			return fmt.Errorf("none of %d", c.asked())
		}
		return nil
	})
	w.put("late")
	w.ends(t, s, "warm")
	eventually(t, "the last attempt's span", func() error {
		if len(c.all("process EVENTS", func(s span) bool { return !s.failed })) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})

	for i, top := range c.all("process EVENTS", about(s)) {
		if top.trace != producerID || top.parent != producerSpan || top.attrs["prestage.deliveries"] != fmt.Sprint(i+1) {
			t.Errorf("attempt %d: trace %s below %s: %v", i+1, top.trace, top.parent, top.attrs)
		}
		if !top.failed {
			continue
		}
		if top.attrs["prestage.outcome"] != "pending" || top.attrs["prestage.retry_in"] == "" || top.attrs["error.type"] == "" {
			t.Errorf("attempt %d: %v", i+1, top.attrs)
		}
		fill := c.has(t, 1, "fill", below(top))[0]
		if !fill.failed || fill.attrs["http.response.status_code"] != "404" || fill.attrs["error.type"] != "not_found" {
			t.Errorf("a fill that failed: %+v", fill)
		}
	}
}

// TestTraceOfMany has an event of many objects: a bounded number of spans is made.
func TestTraceOfMany(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	w := newWorld(t, nil)
	for i := range 200 {
		w.put(fmt.Sprintf("many/%03d", i))
	}
	w.run(t, c.settings()...)
	s := w.checkpoint(t, "many", map[string]any{"uri": uri("many/"), "complete": true})
	w.ends(t, s, "warm")
	top := c.has(t, 1, "process EVENTS", about(s))[0]
	if left := top.attrs["prestage.spans_left_out"]; left != "168" {
		t.Errorf("%q spans are said to be left out", left)
	}
	c.has(t, 32, "fill", below(top))
}

// TestTraceOfConfirmation: the reads that confirm an event's objects are one span.
func TestTraceOfConfirmation(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	w := newWorld(t, distinct)
	w.put("a")
	w.run(t, c.settings("PRESTAGE_CONFIRM=probe")...)
	s := w.object(t, "a", "a")
	w.ends(t, s, "warm")
	top := c.has(t, 1, "process EVENTS", about(s))[0]
	got := c.has(t, 1, "confirm", below(top))[0].attrs
	if diff := cmp.Diff(map[string]string{"prestage.verdict": "verified", "prestage.sampled": "1", "prestage.of": "1"}, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// TestTraceThroughGateway: from the request to the fill it is one trace.
func TestTraceThroughGateway(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	w := newWorld(t, nil)
	w.put("a", "b")
	p := launch(t, raceBuild, w.gatewayEnviron(t, c.settings()...), "run", "--gateway").ready(t).takesHooks(t)
	bearer := "Authorization: Bearer " + gatewayToken
	s := takes(t, p.gatewayAddr(), post("/v1/events", fmt.Sprintf(`{"uri":%q}`, uri("a")), "Content-Type: application/json", bearer, "traceparent: "+traceParent)).sent()
	w.ends(t, s, "warm")
	served := c.has(t, 1, "POST /v1/events", func(s span) bool { return s.trace == producerID })[0]
	if served.kind != "SPAN_KIND_SERVER" || served.parent != producerSpan || served.attrs["http.response.status_code"] != "202" || served.failed {
		t.Errorf("the request: %+v", served)
	}
	if got, want := w.storedAt(t, s.seq).Header.Get("traceparent"), "00-"+served.trace+"-"+served.id+"-01"; got != want {
		t.Errorf("stored with %q, want %q", got, want)
	}
	top := c.has(t, 1, "process EVENTS", below(served))[0]
	c.has(t, 1, "fill", below(top))

	// An event that says itself where it was made is not taken out of that trace.
	own := strings.Replace(traceParent, producerID, strings.Repeat("a", 32), 1)
	body := fmt.Sprintf(`{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":%q,"id":"own","traceparent":%q,"data":{"uri":%q}}`, source, own, uri("b"))
	s = takes(t, p.gatewayAddr(), post("/v1/events", body, "Content-Type: application/cloudevents+json", bearer)).sent()
	w.ends(t, s, "warm")
	if top := c.has(t, 1, "process EVENTS", about(s))[0]; top.trace != strings.Repeat("a", 32) || top.parent != producerSpan {
		t.Errorf("the event's own trace: %+v", top)
	}
	if refused, err := exchange(p.gatewayAddr(), post("/v1/events", body)); err != nil || refused.status != http.StatusUnauthorized {
		t.Errorf("without a token: %v, %v", refused, err)
	}
	c.has(t, 1, "POST /v1/events", func(s span) bool { return s.attrs["http.response.status_code"] == "401" && !s.failed })
}

// TestNoTraces has settings that want none, or that cannot be met: nothing is sent,
// the event is warm, and who may have wanted traces is told once.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		settings []string
		warned   string
	}{
		"unset":    {settings: []string{"OTEL_EXPORTER_OTLP_ENDPOINT="}},
		"disabled": {settings: []string{"OTEL_SDK_DISABLED=true"}},
		"gRPC":     {settings: []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, warned: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"},
		"no URL":   {settings: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=//" + mark}, warned: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: want"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, nil)
			w := newWorld(t, nil)
			w.put("a")
			p := w.run(t, c.settings(tt.settings...)...)
			m := checkpointEvent(t, "a", map[string]any{"uri": uri("a")})
			m.Header.Set("traceparent", traceParent)
			w.ends(t, sent{cluster: "default", id: "a", source: source, seq: w.publish(t, m)}, "warm")
			p.stop(t)
			if n := c.asked(); n != 0 {
				t.Errorf("%d requests to the collector", n)
			}
			warnings := p.logged("no traces are exported")
			if tt.warned == "" && len(warnings) > 0 || tt.warned != "" && (len(warnings) != 1 || !strings.Contains(fmt.Sprint(warnings), tt.warned)) {
				t.Errorf("warned: %v", warnings)
			}
			if strings.Contains(p.stderr.String(), mark) {
				t.Error("the log tells the endpoint")
			}
		})
	}
}

// TestWrongTraceSettings: what cannot be read is told, in the log's own format and
// without its value, and all else holds.
func TestWrongTraceSettings(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	w := newWorld(t, nil)
	w.put("a")
	p := w.run(t, c.settings("OTEL_EXPORTER_OTLP_HEADERS=api-key: "+mark+",other=%zz"+mark, "OTEL_EXPORTER_OTLP_TIMEOUT=soon",
		"OTEL_TRACES_SAMPLER=sometimes", "OTEL_RESOURCE_ATTRIBUTES=team", "OTEL_SERVICE_NAME=warmer", "OTEL_EXPORTER_OTLP_CERTIFICATE=/does/not/exist")...)
	s := w.object(t, "a", "a")
	w.ends(t, s, "warm")
	if top := c.has(t, 1, "process EVENTS", about(s))[0]; top.resource["service.name"] != "warmer" {
		t.Errorf("the resource is %v", top.resource)
	}
	p.stop(t)
	if n := len(p.logged("a setting of OpenTelemetry cannot be read")); n != 6 { // two of them are headers
		t.Errorf("%d wrong settings are told", n)
	}
	for line := range strings.Lines(p.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
	if strings.Contains(p.stderr.String(), mark) {
		t.Error("the log tells a header")
	}
}

// TestCollectorFails: what is wrong with the collector is said now and then, holds
// up no event, and the end of the program for a moment only.
func TestCollectorFails(t *testing.T) {
	t.Parallel()
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, strings.Repeat("no ", 10_000), status) }
	}
	for name, tt := range map[string]struct {
		refuse http.HandlerFunc
		closed bool
	}{
		"dead":     {closed: true},
		"hanging":  {refuse: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"failing":  {refuse: answer(http.StatusInternalServerError)},
		"refusing": {refuse: answer(http.StatusServiceUnavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, tt.refuse)
			if tt.closed {
				c.server.Close()
			}
			w := newWorld(t, nil)
			// The queue is full after a few events.
			p := w.run(t, c.settings("OTEL_TRACES_SAMPLER=sometimes", "OTEL_EXPORTER_OTLP_TIMEOUT=60000", "OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1")...)
			for i := range 20 {
				key := fmt.Sprintf("step-%02d", i)
				w.put(key)
				w.ends(t, w.object(t, key, key), "warm")
			}
			terminated := time.Now()
			p.signal(t, syscall.SIGTERM)
			if code := p.wait(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(terminated); took > 15*time.Second { // the exporter's own patience is 30 s
				t.Errorf("it took %s to end", took)
			}
			said := len(p.logged("traces not exported"))
			if said > 3 || (said == 0 && (name == "dead" || name == "failing")) {
				t.Errorf("said %d times that traces are not exported", said)
			}
			if line := p.stderr.String(); strings.Contains(line, strings.Repeat("no ", 500)) {
				t.Error("the collector's words fill the log")
			}
		})
	}
}
