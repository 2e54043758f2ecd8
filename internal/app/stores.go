package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lookEvery is how often the stores are looked for, and how long whoever
// deleted one has for making it anew with settings of his own.
const lookEvery = 2 * time.Second

// stores are what prestage writes to.
type stores struct {
	results, letters  jetstream.Stream
	objects, receipts jetstream.KeyValue
}

func (p *provisioner) stores(ctx context.Context, want Setup) (s stores, err error) {
	if s.results, err = p.stream(ctx, want.Results); err != nil {
		return s, err
	}
	if s.letters, err = p.stream(ctx, want.Letters); err != nil {
		return s, err
	}
	if s.objects, err = p.bucket(ctx, want.Objects); err != nil {
		return s, err
	}
	s.receipts, err = p.bucket(ctx, want.Receipts)
	return s, err
}

// watchStores notices a store that was deleted, makes it anew or waits until
// somebody else does, and lets /readyz tell of it meanwhile. The lanes go on:
// a handle is no more than a name, so that the writes which wait for the store
// succeed as soon as there is one, and no event has to be given back.
func (a *App) watchStores(ctx context.Context, p *provisioner, s stores) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var missing error
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		was := missing
		if was != nil && a.cfg.Provision {
			if err := p.again(ctx); err != nil && ctx.Err() == nil {
				a.deps.Log.LogAttrs(ctx, slog.LevelWarn, "not provisioned again", slog.Any("error", err))
			}
		}
		now, err := s.missing(ctx)
		if err != nil || ctx.Err() != nil { // what cannot be asked is told by others
			continue
		}
		missing = now
		switch {
		case now != nil && was == nil:
			a.deps.Log.LogAttrs(ctx, slog.LevelError, "a stream or bucket is gone with what it held, events wait for a new one",
				slog.Any("error", now), slog.Bool("provisioning", a.cfg.Provision))
		case now == nil && was != nil:
			a.deps.Log.LogAttrs(ctx, slog.LevelInfo, "all streams and buckets are there again")
		}
		a.change(func(s *state) { s.missing = now })
	}
}

func (p *provisioner) again(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := p.stores(ctx, p.cfg.Setup())
	return err
}

// missing says which stores do not exist. As it asks, the handles learn the
// settings of one that was made anew. err: that cannot be told now.
func (s *stores) missing(ctx context.Context) (missing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var gone []string
	for _, stream := range []jetstream.Stream{s.results, s.letters} {
		_, err := stream.Info(ctx)
		switch name := stream.CachedInfo().Config.Name; {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			gone = append(gone, "stream "+name)
		case err != nil:
			return nil, wrap("stream "+name, err)
		}
	}
	for _, bucket := range []jetstream.KeyValue{s.objects, s.receipts} {
		_, err := bucket.Status(ctx)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			gone = append(gone, "bucket "+bucket.Bucket())
		case err != nil:
			return nil, wrap("bucket "+bucket.Bucket(), err)
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	return fmt.Errorf("deleted: %s", strings.Join(gone, ", ")), nil
}
