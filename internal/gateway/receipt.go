package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
)

// receiptTimeout bounds the look for a receipt.
const receiptTimeout = 5 * time.Second

// tell answers what became of an event: its receipt.
func (g *Gateway) tell(w http.ResponseWriter, req *http.Request, r route) *problem {
	if p := g.admit(req.Context(), r, req.Header, nil); p != nil {
		return p
	}
	id := req.URL.Query().Get("id")
	if id == "" {
		return &problem{Status: http.StatusBadRequest, Detail: "name the event: /v1/events?id=…"}
	}
	if !g.asking.enter(req.Context()) {
		return busy()
	}
	defer g.asking.leave()
	js, err := g.cfg.Link.stream()
	if err != nil {
		return unavailable(err)
	}
	ctx, cancel := context.WithTimeout(req.Context(), receiptTimeout)
	defer cancel()
	receipt, err := g.receipt(ctx, js, id)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound), err == nil && receipt.Outcome == "":
		return &problem{Status: http.StatusNotFound, Detail: "the event has no receipt, or none yet", retry: time.Second}
	case err != nil:
		return &problem{Status: http.StatusServiceUnavailable, Detail: "receipts cannot be read now", retry: retryAfter, cause: err}
	}
	writeJSON(w, "application/json", http.StatusOK, receipt)
	return nil
}

func (g *Gateway) receipt(ctx context.Context, js jetstream.JetStream, id string) (consumer.Receipt, error) {
	kv, err := js.KeyValue(ctx, g.cfg.Receipts)
	if err != nil {
		return consumer.Receipt{}, fmt.Errorf("bucket of receipts: %w", err)
	}
	return consumer.Latest(ctx, kv, consumer.ReceiptKeys(g.cfg.Cluster, id))
}
