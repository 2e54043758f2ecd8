// Package run is lotasim as a program: store, emulator and listeners from plain
// options, and a few lines that say how to use them.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/lotasim/store"
)

// System is everything that runs.
type System struct {
	Sim    *lotasim.Sim
	Server *lotasim.Server
	Store  *store.Store

	// Second is the other cluster: the same store, another cache, no primary
	// listener of its own. Nil without Options.SecondLOTA.
	Second       *lotasim.Sim
	SecondServer *lotasim.Server

	// AWSConfig is the path of a file for AWS_CONFIG_FILE that makes the AWS CLI
	// address buckets by host, as LOTA needs it.
	AWSConfig string

	temp string // the folder to remove, if any
}

// Start starts store, emulator and listeners. Until Close the process's working
// directory is another, as package store says.
func Start(ctx context.Context, o Options, log *slog.Logger) (*System, error) {
	s := &System{}
	if err := s.start(ctx, o, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *System) start(ctx context.Context, o Options, log *slog.Logger) error {
	opts := o.sim(log)
	if o.Data == "" {
		dir, err := os.MkdirTemp("", "lotasim-data")
		if err != nil {
			return fmt.Errorf("make a folder for the objects: %w", err)
		}
		o.Data, s.temp = dir, dir
	}
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return err
	}
	s.Store, err = store.New(ctx, store.Options{
		Dir: data, AccessKey: o.AccessKey, SecretKey: o.SecretKey, Region: o.Region,
		LOTADomain: opts.LOTADomain, PrimaryDomain: opts.PrimaryDomain,
		ListOnlyKey: o.ListOnly, Versions: len(o.Versioned) > 0,
	})
	if err != nil {
		return err
	}
	s.AWSConfig = filepath.Join(data, "aws-config")
	if err := os.WriteFile(s.AWSConfig, []byte(awsConfig), 0o600); err != nil {
		return fmt.Errorf("write the AWS CLI's configuration: %w", err)
	}
	if err := s.createBuckets(ctx, o); err != nil {
		return err
	}
	addrs := lotasim.Addrs{LOTA: o.LOTAAddr, Primary: o.PrimaryAddr, Admin: o.AdminAddr}
	if s.Sim, s.Server, err = cluster(ctx, opts, s.Store, addrs); err != nil || o.SecondLOTA == "" {
		return err
	}
	if opts.Seed != 0 {
		opts.Seed++ // the clusters have their bad moments at different times
	}
	opts.Logger = opts.Logger.With(slog.String("cluster", "second"))
	addrs = lotasim.Addrs{LOTA: o.SecondLOTA, Primary: lotasim.NoListener, Admin: o.SecondAdmin}
	s.Second, s.SecondServer, err = cluster(ctx, opts, s.Store, addrs)
	return err
}

func (s *System) createBuckets(ctx context.Context, o Options) error {
	for _, b := range slices.Concat(o.Buckets, o.Versioned) {
		if err := s.Store.CreateBucket(ctx, b); err != nil {
			return err
		}
	}
	for _, b := range o.Versioned {
		if err := s.Store.KeepVersions(ctx, b); err != nil {
			return err
		}
	}
	for _, b := range o.Foreign {
		if err := s.Store.CreateForeignBucket(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// cluster is a cache before the store, on its listeners.
func cluster(ctx context.Context, o lotasim.Options, st *store.Store, addrs lotasim.Addrs) (*lotasim.Sim, *lotasim.Server, error) {
	sim, err := lotasim.New(o, st.Backends())
	if err != nil {
		return nil, nil, err
	}
	server, err := lotasim.Listen(ctx, sim, addrs)
	return sim, server, err
}

// Close ends it all, and removes the objects where no folder was named.
func (s *System) Close() error {
	for _, server := range []*lotasim.Server{s.Server, s.SecondServer} {
		if server != nil {
			server.Close()
		}
	}
	for _, sim := range []*lotasim.Sim{s.Sim, s.Second} {
		if sim != nil {
			sim.Close()
		}
	}
	var errs []error
	if s.Store != nil {
		errs = append(errs, s.Store.Close())
	}
	if s.temp != "" {
		errs = append(errs, os.RemoveAll(s.temp))
	}
	return errors.Join(errs...)
}

// Run starts a System, says on out how to use it, and serves until ctx ends.
func Run(ctx context.Context, o Options, log *slog.Logger, out io.Writer) error {
	s, err := Start(ctx, o, log)
	if err != nil {
		return err
	}
	err = s.explain(o, out)
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, s.Close())
}
