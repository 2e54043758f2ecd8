package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/replay"
)

// listBatch is how many objects of a list are one request.
const listBatch = 1000

// fromList warms what a list names, or the objects that failed before. There are
// no events, so there are no receipts: the ledger tells a second call what is
// done.
func (c replayCmd) fromList(ctx context.Context, w world, cfg app.Config, out *replayOutput, uris []string) error {
	ledger, js, closeLedger, err := w.ledger(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeLedger()
	if cfg.DryRun {
		ledger = dedupe.NewOverlay(ledger)
	}
	work, cut := app.DrainContext(ctx, cfg.DrainTimeout)
	defer cut()
	log := w.quietLogger()
	aws, err := loadAWS(work, log)
	if err != nil {
		return err
	}
	if cfg.Budget > 0 && js == nil {
		log.LogAttrs(ctx, slog.LevelWarn, "PRESTAGE_BUDGET is not kept: NATS_URL names no server, which has its account")
	}
	engine, err := app.NewBackfill(work, cfg, app.Deps{Log: log, Registry: prometheus.NewRegistry(), AWS: aws}, ledger, js)
	if err != nil {
		return err
	}
	defer engine.Close()

	list := replay.NewList(engine.Warmer, c.Rate, c.MaxBytes, c.Force, func(r prestage.Result) {
		out.failed(failure{Replay: c.Name, URI: r.Ref.String(), Reason: r.Reason, Error: r.Err.Error()})
	})
	if js != nil {
		stream, err := js.Stream(ctx, cfg.Stream)
		switch {
		case err == nil:
			defer list.Follow(work, stream, cfg.Durables())()
		case !errors.Is(err, jetstream.ErrStreamNotFound): // without it there is no live work
			return fmt.Errorf("stream %s (PRESTAGE_STREAM): %w", cfg.Stream, err)
		}
	}
	out.watch(list.Progress, engine.Up)
	err = c.eachObject(uris, func(batch []object.Attrs, prefix object.Ref) error { return list.Warm(work, ctx, batch, prefix) })
	switch {
	case errors.Is(err, replay.ErrCap):
	case err != nil && ctx.Err() != nil:
		return errors.New("interrupted; call it again to go on: " + w.resumes())
	case err != nil:
		return err
	}
	p := list.Progress()
	if cfg.DryRun {
		return out.dry(p)
	}
	if err := out.done(replay.Result{Progress: p, Capped: err != nil}); err != nil {
		return err
	}
	if p.Failed > 0 {
		return &exitError{exitPartly, fmt.Errorf("replay %s: %d objects failed", c.Name, p.Failed)}
	}
	return nil
}

// eachObject calls visit with the objects of the list, many of one bucket at a
// time, and with each prefix.
func (c replayCmd) eachObject(uris []string, visit func([]object.Attrs, object.Ref) error) error {
	var batch []object.Attrs
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := visit(batch, object.Ref{})
		batch = nil
		return err
	}
	add := func(a object.Attrs) error {
		switch {
		case a.Key == "":
			return fmt.Errorf("%s is a whole bucket: prestage warm --whole-bucket, if you mean it", a.Ref)
		case a.IsPrefix() && a.Size == object.UnknownSize:
			return visit(nil, a.Ref)
		case a.IsPrefix(): // a folder marker of an inventory
			return nil
		}
		if len(batch) == listBatch || (len(batch) > 0 && batch[0].Bucket != a.Bucket) { // one that is refused takes all with it
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, a)
		return nil
	}
	if c.FromList != "" {
		if err := eachListed(c.FromList, add); err != nil {
			return err
		}
	}
	for _, uri := range uris {
		ref, err := object.ParseURI(uri)
		if err != nil {
			return err
		}
		if err := add(object.Attrs{Ref: ref, Size: object.UnknownSize}); err != nil {
			return err
		}
	}
	return flush()
}
