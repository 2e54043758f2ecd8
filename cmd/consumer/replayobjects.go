package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/replay"
)

// listBatch is how many objects of a list are one request, listAtOnce how many
// requests are in hand, so that one slow object holds no others up.
const (
	listBatch  = 1000
	listAtOnce = 4
)

// fromList warms what a list names, or the objects that failed before. There are
// no events, so there are no receipts: the ledger tells a second call what is
// done.
func (c replayCmd) fromList(ctx context.Context, w world, cfg app.Config, out *replayOutput, objects []object.Ref) error {
	total, bytes, err := c.countListed(objects)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if most := int64(cfg.CacheBytes); most > 0 && bytes > most && !cfg.DryRun {
		return fmt.Errorf("replay: the list has %d bytes and the cache holds %d (PRESTAGE_CACHE_BYTES): nothing is filled, since its end would drive out its beginning", bytes, most)
	}
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
	out.entries(total)
	out.watch(list.Progress, engine.Up)
	err = c.warmListed(work, ctx, list, w.stdin, objects)
	result := replay.Result{Progress: list.Progress(), Capped: errors.Is(err, replay.ErrCap)}
	switch {
	case result.Capped:
	case err != nil && ctx.Err() != nil:
		out.ended("interrupted", result)
		return errors.New("interrupted; call it again to go on: " + w.resumes())
	case err != nil:
		return err
	}
	if cfg.DryRun {
		out.dry(result.Progress)
		return nil
	}
	out.ended("done", result)
	if result.Failed > 0 {
		return out.partly(fmt.Sprintf("%d objects failed", result.Failed))
	}
	return nil
}

// countListed reads all of the list before anything is asked for: what cannot be
// read is told at once, and how much there is, as far as it says so. A pipe can be
// read only once, and counts as 0.
func (c replayCmd) countListed(objects []object.Ref) (n, bytes int64, err error) {
	switch c.FromList {
	case "":
	case "-":
		return 0, 0, nil
	default:
		info, err := os.Stat(c.FromList)
		if err != nil {
			return 0, 0, err
		}
		if !info.Mode().IsRegular() {
			return 0, 0, nil
		}
	}
	err = c.eachObject(nil, objects, func(batch []object.Attrs, prefix object.Ref) error {
		n += int64(max(len(batch), 1))
		for i := range batch {
			size := max(batch[i].Size, 0)
			bytes += min(size, math.MaxInt64-bytes)
		}
		return nil
	})
	return n, bytes, err
}

// warmListed has the list warmed, several requests at once.
func (c replayCmd) warmListed(work, ctx context.Context, list *replay.List, stdin io.Reader, objects []object.Ref) error {
	group, start := errgroup.WithContext(ctx)
	group.SetLimit(listAtOnce)
	err := c.eachObject(stdin, objects, func(batch []object.Attrs, prefix object.Ref) error {
		group.Go(func() error { return list.Warm(work, start, batch, prefix) })
		return start.Err()
	})
	if first := group.Wait(); first != nil { // which ended the reading
		err = first
	}
	return err
}

// eachObject calls visit with the objects of the list, many of one bucket at a
// time, and with each prefix.
func (c replayCmd) eachObject(stdin io.Reader, objects []object.Ref, visit func([]object.Attrs, object.Ref) error) error {
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
		if err := eachListed(c.FromList, stdin, add); err != nil {
			return err
		}
	}
	for _, ref := range objects {
		if err := add(object.Attrs{Ref: ref, Size: object.UnknownSize}); err != nil {
			return err
		}
	}
	return flush()
}
