package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/tracing"
)

// Types of the CloudEvents in PRESTAGE_RESULTS.
const (
	TypeWarmed     = "ai.cache.warmed.v1"
	TypeWarmFailed = "ai.cache.warm_failed.v1"
)

// result is the CloudEvent (structured mode) that tells other programs what
// became of an event; its data is the receipt. It goes on in the trace that ctx is
// in. limit is the largest message that the server takes: the list of failures
// gives way first.
func result(ctx context.Context, d *delivery, r Receipt, subject string, now time.Time, limit int) (*nats.Msg, error) {
	ce := struct {
		SpecVersion     string    `json:"specversion"`
		Type            string    `json:"type"`
		Source          string    `json:"source"`
		ID              string    `json:"id"`
		Time            time.Time `json:"time"`
		Subject         string    `json:"subject"`
		DataContentType string    `json:"datacontenttype"`
		TraceParent     string    `json:"traceparent,omitempty"`
		TraceState      string    `json:"tracestate,omitempty"`
		Data            Receipt   `json:"data"`
	}{
		SpecVersion:     "1.0",
		Type:            TypeWarmed,
		Source:          "/prestage/" + r.Cluster,
		ID:              fmt.Sprintf("%s/%d/%d", d.Stream, d.Seq, d.Time.UnixNano()),
		Time:            now.UTC(),
		Subject:         r.EventID,
		DataContentType: "application/json",
		Data:            r,
	}
	ce.TraceParent, ce.TraceState = tracing.Carry(ctx)
	if r.Outcome == DeadLettered {
		ce.Type = TypeWarmFailed
	}
	m := nats.NewMsg(subject)
	m.Header.Set("Content-Type", "application/cloudevents+json")
	m.Header.Set(dlq.HeaderTime, stamp(d.Time))
	for {
		data, err := json.Marshal(ce)
		if err != nil {
			return nil, fmt.Errorf("encode result: %w", err)
		}
		m.Data = data
		if headerSize(m.Header)+len(data) <= limit || len(ce.Data.Failures) == 0 {
			return m, nil
		}
		ce.Data.Failures = ce.Data.Failures[:len(ce.Data.Failures)/2]
	}
}
