package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/events"
)

// Names of the buckets.
const (
	ObjectsBucket  = "prestage_objects"
	ReceiptsBucket = "prestage_receipts"
)

// What is provisioned can hardly be changed later: docs/records.md tells users.
const (
	eventsAge     = 7 * 24 * time.Hour
	eventsWindow  = 10 * time.Minute // for producers' retries with Nats-Msg-Id
	receiptsAge   = 30 * 24 * time.Hour
	resultsBytes  = 1 << 30
	ownerMetadata = "prestage" // marks a durable as made by this program
)

// placePatience is how long three replicas are insisted on where the cluster
// has no place for them: a server may only be late, and one replica stays so.
const placePatience = 2 * time.Minute

// lane is what one durable is made from.
type lane struct {
	name     string
	kind     events.Kind
	subjects []string
}

func (c *Config) lanes() []lane {
	return []lane{
		{"model", events.KindModel, filters(c.ModelSubjects)},
		{"checkpoint", events.KindCheckpoint, filters(c.CheckpointSubjects)},
	}
}

func (c *Config) durable(l lane) string {
	name := "prestage-" + c.Cluster + "-" + l.name
	if c.DryRun {
		name += "-" + dryName
	}
	return name
}

// dryName marks what a dry run keeps in NATS.
const dryName = "dry"

// dryName is the last token of keys and subjects: a dry run's, or none.
func (c *Config) dryName() string {
	if c.DryRun {
		return dryName
	}
	return ""
}

// errSetup marks what a person has to change: waiting would not help.
var errSetup = errors.New("set-up")

// resources is what exists in JetStream once provision has succeeded.
type resources struct {
	events    jetstream.Stream
	consumers []jetstream.Consumer // in the order of Config.lanes
	stores
}

// provisioner creates what is missing and checks what exists.
type provisioner struct {
	cfg       Config
	js        jetstream.JetStream
	clustered bool
	log       *slog.Logger

	crowded time.Time // since when the cluster has had no place for three; zero: it has, or was not asked
}

func (p *provisioner) ensure(ctx context.Context) (*resources, error) {
	var r resources
	var err error
	want := p.cfg.Setup()
	if r.events, err = p.stream(ctx, want.Events); err != nil {
		return nil, err
	}
	p.checkSubjects(ctx, want.Events.Subjects, r.events.CachedInfo().Config)
	if r.stores, err = p.stores(ctx, want); err != nil {
		return nil, err
	}
	for _, durable := range want.Consumers {
		c, err := p.consumer(ctx, r.events, durable)
		if err != nil {
			return nil, err
		}
		r.consumers = append(r.consumers, c)
	}
	return &r, nil
}

// replicas is how many to ask for first: what was asked for, or three in a
// cluster.
func (p *provisioner) replicas() int {
	switch {
	case p.cfg.Replicas > 0:
		return p.cfg.Replicas
	case p.clustered:
		return 3
	default:
		return 1
	}
}

// create calls f with the count of replicas. Where the count is ours to choose
// and three cannot be had, it calls it again with one: at once when the server
// is no cluster or the account may not, and when a cluster has had no place for
// placePatience. It does so for no other refusal: nobody raises the count later.
func (p *provisioner) create(ctx context.Context, what string, f func(replicas int) error) error {
	n := p.replicas()
	err := f(n)
	if n > 1 && p.cfg.Replicas == 0 && p.never(err) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "the cluster has no place for three replicas, one must do: PRESTAGE_REPLICAS=3 would wait for it",
			slog.String("what", what), slog.Any("error", err))
		n = 1
		err = f(n)
	}
	if err == nil {
		p.log.LogAttrs(ctx, slog.LevelInfo, "created", slog.String("what", what), slog.Int("replicas", n))
	}
	return err
}

// never says that the count of replicas is what was refused, and for good as
// far as one can see.
func (p *provisioner) never(err error) bool {
	if !refusedAs(err, codeNoPeers) {
		p.crowded = time.Time{}
		return refusedAs(err, codeReplicasNotSupported) || refusedAs(err, codeNoLimits)
	}
	if p.crowded.IsZero() {
		p.crowded = time.Now()
	}
	return time.Since(p.crowded) >= placePatience
}

// stream returns the stream, created when it is missing. One that exists is
// never changed.
func (p *provisioner) stream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := p.js.Stream(ctx, want.Name)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return s, wrap("stream "+want.Name, err)
	}
	if !p.cfg.Provision {
		return nil, fmt.Errorf("%w: stream %s does not exist and PRESTAGE_PROVISION=false", errSetup, want.Name)
	}
	err = p.create(ctx, "stream "+want.Name, func(replicas int) error {
		want.Replicas = replicas
		s, err = p.js.CreateStream(ctx, want)
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another replica was faster
		s, err = p.js.Stream(ctx, want.Name)
	}
	return s, wrap("create stream "+want.Name, err)
}

// bucket is stream for KV buckets.
func (p *provisioner) bucket(ctx context.Context, want jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := p.js.KeyValue(ctx, want.Bucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, wrap("bucket "+want.Bucket, err)
	}
	if !p.cfg.Provision {
		return nil, fmt.Errorf("%w: bucket %s does not exist and PRESTAGE_PROVISION=false", errSetup, want.Bucket)
	}
	err = p.create(ctx, "bucket "+want.Bucket, func(replicas int) error {
		want.Replicas = replicas
		kv, err = p.js.CreateKeyValue(ctx, want)
		return err
	})
	if errors.Is(err, jetstream.ErrBucketExists) {
		kv, err = p.js.KeyValue(ctx, want.Bucket)
	}
	return kv, wrap("create bucket "+want.Bucket, err)
}

// checkSubjects warns of what differs between the lanes' subjects and the
// stream's. JetStream accepts a filter that no subject of the stream can match.
// A mirror has no subjects of its own: those of its origin are not looked at.
func (p *provisioner) checkSubjects(ctx context.Context, lanes []string, stream jetstream.StreamConfig) {
	if stream.Mirror != nil {
		lanes = nil
	}
	for _, s := range lanes {
		if !covered(s, stream.Subjects) {
			p.log.LogAttrs(ctx, slog.LevelWarn, "the stream does not take all of a lane's subjects: such events are refused to their producer",
				slog.String("stream", stream.Name), slog.String("subject", s), slog.Any("stream_subjects", stream.Subjects))
		}
	}
	for _, s := range stream.Subjects {
		if !covered(s, lanes) {
			p.log.LogAttrs(ctx, slog.LevelWarn, "the stream is wider than the lanes: an event on a mistyped subject is stored and never consumed",
				slog.String("stream", stream.Name), slog.String("subject", s), slog.Any("lanes", lanes))
		}
	}
	if stream.Retention != jetstream.LimitsPolicy {
		p.log.LogAttrs(ctx, slog.LevelWarn, "the stream does not keep its history, so that it cannot be replayed",
			slog.String("stream", stream.Name), slog.String("retention", stream.Retention.String()))
	}
}

// consumer returns the lane's durable, created when it is missing. Of one that
// carries prestage's mark, subjects and AckWait follow the configuration; any
// other is used as it is, provided that it keeps the promises.
func (p *provisioner) consumer(ctx context.Context, stream jetstream.Stream, want jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	name := want.Durable
	c, err := stream.Consumer(ctx, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		if !p.cfg.Provision {
			return nil, fmt.Errorf("%w: consumer %s does not exist and PRESTAGE_PROVISION=false", errSetup, name)
		}
		c, err = stream.CreateConsumer(ctx, want)
		if err == nil {
			p.log.LogAttrs(ctx, slog.LevelInfo, "created consumer", slog.String("consumer", name), slog.Any("subjects", want.FilterSubjects))
		}
		if errors.Is(err, jetstream.ErrConsumerExists) {
			c, err = stream.Consumer(ctx, name)
		}
	}
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return nil, fmt.Errorf("%w: consumer %s is a push consumer, want a pull consumer", errSetup, name)
	}
	if err != nil {
		return nil, wrap("consumer "+name, err)
	}
	return p.adopt(ctx, stream, c, want)
}

func (p *provisioner) adopt(ctx context.Context, stream jetstream.Stream, c jetstream.Consumer, want jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	have := c.CachedInfo().Config
	if err := KeepsPromises(have); err != nil {
		return nil, fmt.Errorf("%w: consumer %s: %w", errSetup, have.Durable, err)
	}
	subjects := Filters(have)
	same := slices.Equal(slices.Sorted(slices.Values(subjects)), slices.Sorted(slices.Values(want.FilterSubjects)))
	if same && have.AckWait == want.AckWait {
		return c, nil
	}
	if !p.cfg.Follows(have) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "consumer differs from the configuration and is used as it is",
			slog.String("consumer", have.Durable), slog.Any("subjects", subjects), slog.String("ack_wait", have.AckWait.String()))
		return c, nil
	}
	have.FilterSubject, have.FilterSubjects, have.AckWait = "", want.FilterSubjects, want.AckWait
	updated, err := stream.UpdateConsumer(ctx, have)
	if err != nil {
		return nil, wrap("update consumer "+have.Durable, err)
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "updated consumer", slog.String("consumer", have.Durable),
		slog.Any("subjects", want.FilterSubjects), slog.String("ack_wait", want.AckWait.String()))
	return updated, nil
}

// KeepsPromises says which setting of an existing durable would break what
// prestage promises.
func KeepsPromises(c jetstream.ConsumerConfig) error {
	switch {
	case c.AckPolicy != jetstream.AckExplicitPolicy:
		return fmt.Errorf("ack policy is %s, want explicit: events would count as done before their fills are", c.AckPolicy)
	case c.MaxDeliver > 0:
		return fmt.Errorf("MaxDeliver is %d, want -1: the server would drop events that prestage still works on", c.MaxDeliver)
	case len(c.BackOff) > 0:
		return errors.New("BackOff is set, want none: it replaces AckWait, so that heartbeats would come too late")
	case c.AckWait < 5*time.Second:
		return fmt.Errorf("AckWait is %s, want at least 5s: a server's restart rounds deadlines", c.AckWait)
	case c.HeadersOnly:
		return errors.New("HeadersOnly is set: events would come without their payload and be dead-lettered")
	}
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", strings.TrimSpace(what), err)
}
