package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/failpoint"
	"github.com/prestage/prestage/internal/publish"
	"github.com/prestage/prestage/internal/tracing"
)

const (
	// maxBody is what internal/events reads of a payload, at most.
	maxBody = 8 << 20
	// headerRoom is what a message's headers may take of what NATS accepts.
	headerRoom = 20 << 10

	publishTimeout = 5 * time.Second
	retryAfter     = 2 * time.Second
	// batchAtOnce is how many messages of a batch are stored at a time: enough that
	// maxBatch are within publishTimeout where each takes half a second.
	batchAtOnce = 128
)

// take stores what a POST brings. It answers unless it returns a problem.
func (g *Gateway) take(w http.ResponseWriter, req *http.Request, r route) *problem {
	if !r.guard.signed { // before anything is read
		if p := g.admit(req.Context(), r, req.Header, nil); p != nil {
			return p
		}
	}
	if req.ContentLength < 0 || req.ContentLength > smallBody { // -1: not told
		if !r.large.enter(req.Context()) {
			return busy()
		}
		defer r.large.leave()
	}
	body, p := g.read(w, req)
	if p != nil {
		return p
	}
	if r.guard.signed {
		if p := g.admit(req.Context(), r, req.Header, body); p != nil {
			return p
		}
	}
	if !r.store.enter(req.Context()) {
		return busy()
	}
	defer r.store.leave()
	list, batch, p := g.letters(r.name, req.Header, body)
	if p != nil {
		return p
	}
	for _, l := range list {
		if !l.traced {
			tracing.Send(req.Context(), l.msg.Header)
		}
	}
	sent, p := g.store(req.Context(), list)
	if p != nil {
		return p
	}
	failpoint.Hit("gateway-stored")
	for _, s := range sent {
		g.cfg.Log.LogAttrs(req.Context(), slog.LevelInfo, "stored", slog.String("route", string(r.name)), slog.String("remote", req.RemoteAddr),
			slog.String("event", s.ID), slog.String("source", s.Source), slog.String("subject", s.Subject),
			slog.Uint64("stream_seq", s.Seq), slog.Bool("duplicate", s.Duplicate))
	}
	if batch {
		writeJSON(w, "application/json", http.StatusAccepted, sent)
		return nil
	}
	w.Header().Set("Location", "/v1/events?id="+url.QueryEscape(sent[0].ID))
	writeJSON(w, "application/json", http.StatusAccepted, sent[0])
	return nil
}

func busy() *problem {
	return &problem{Status: http.StatusServiceUnavailable, Detail: "too many requests at a time", retry: retryAfter}
}

// admit checks that whoever sent the request has a secret of r.
func (g *Gateway) admit(ctx context.Context, r route, h http.Header, body []byte) *problem {
	secrets := r.keys.Secrets(ctx)
	if len(secrets) == 0 {
		if g.cfg.Insecure && !r.keys.Given() { // one that was withdrawn opens nothing
			return nil
		}
		return &problem{Status: http.StatusUnauthorized, Detail: r.path + " has no secret and is closed; PRESTAGE_GATEWAY_INSECURE=true opens routes that are given none"}
	}
	if err := r.guard.check(secrets, proof{header: h, body: body, now: time.Now()}); err != nil {
		return &problem{Status: http.StatusUnauthorized, Detail: err.Error()}
	}
	return nil
}

// read reads the body, as much of it as a message may hold.
func (g *Gateway) read(w http.ResponseWriter, req *http.Request) ([]byte, *problem) {
	if e := req.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, &problem{Status: http.StatusUnsupportedMediaType, Detail: "send the body without Content-Encoding"}
	}
	limit := int64(maxBody)
	if most := g.cfg.Link.MaxPayload(); most > headerRoom { // 0 before the first connection
		limit = min(limit, most-headerRoom)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge(limit)
	case err != nil: // it is gone, or too slow
		return nil, &problem{Status: http.StatusRequestTimeout, Detail: "the body did not come in time", cause: err}
	}
	return body, nil
}

func tooLarge(limit int64) *problem {
	return &problem{
		Status: http.StatusRequestEntityTooLarge,
		Detail: fmt.Sprintf("at most %d bytes are taken; send smaller batches, or name the objects in a manifest and send its URI", limit),
	}
}

// store stores all of list, or says what is to be done about it. After a problem
// some may be stored; their message ids keep them single when all are sent again.
func (g *Gateway) store(ctx context.Context, list []letter) ([]publish.Sent, *problem) {
	js, err := g.cfg.Link.stream()
	if err != nil {
		return nil, unavailable(err)
	}
	// Whoever hangs up does not stop what is half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	sent := make([]publish.Sent, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(batchAtOnce)
	for i, l := range list {
		group.Go(func() error {
			ack, err := publish.Store(ctx, js, g.cfg.Stream, l.msg)
			if err != nil {
				return err
			}
			sent[i] = l.sent(ack)
			return nil
		})
	}
	err = group.Wait()
	switch {
	case err == nil:
		return sent, nil
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, tooLarge(g.cfg.Link.MaxPayload() - headerRoom)
	case errors.Is(err, publish.ErrOtherStream):
		return nil, &problem{Status: http.StatusInternalServerError, Detail: err.Error()}
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		p := unavailable(err)
		p.Detail = "no stream takes the event's subject: does prestage run, and are the subjects those of the stream? Send the event again"
		return nil, p
	}
	return nil, unavailable(err)
}

// unavailable asks for the event once more.
func unavailable(cause error) *problem {
	return &problem{
		Status: http.StatusServiceUnavailable, retry: retryAfter, cause: cause,
		Detail: "the stream did not acknowledge the event; send it again: unless it is plain JSON without an id, it is stored once, however often it is sent",
	}
}
