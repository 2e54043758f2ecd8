package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
)

const (
	modelLane      = "prestage-default-model"
	checkpointLane = "prestage-default-checkpoint"
)

var laneSubjects = []string{
	"events.model.published", "events.model.published.>",
	"events.checkpoint.written", "events.checkpoint.written.>", "events.object.created", "events.object.created.>",
}

func newProvisioner(t *testing.T, js jetstream.JetStream, environ ...string) (*provisioner, *logbook) {
	t.Helper()
	log := &logbook{}
	return &provisioner{cfg: parse(t, environ...), js: js, log: log.logger()}, log
}

// inventory is the configuration of everything in JetStream.
func inventory(t *testing.T, js jetstream.JetStream) (map[string]jetstream.StreamConfig, map[string]jetstream.ConsumerConfig) {
	t.Helper()
	streams, consumers := map[string]jetstream.StreamConfig{}, map[string]jetstream.ConsumerConfig{}
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		streams[info.Config.Name] = info.Config
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	for name := range streams {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		list := s.ListConsumers(t.Context())
		for info := range list.Info() {
			consumers[info.Name] = info.Config
		}
		if list.Err() != nil {
			t.Fatal(list.Err())
		}
	}
	return streams, consumers
}

func TestProvision(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	p, log := newProvisioner(t, js, "PRESTAGE_DEDUPE_TTL=36h", "PRESTAGE_ACK_WAIT=45s")
	r, err := p.ensure(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	streams, consumers := inventory(t, js)

	const day = 24 * time.Hour
	type limits struct {
		Subjects  []string
		Retention jetstream.RetentionPolicy
		Discard   jetstream.DiscardPolicy
		MaxAge    time.Duration
		MaxBytes  int64
		MaxMsgs   int64
		PerKey    int64
		Window    time.Duration
		Storage   jetstream.StorageType
		Replicas  int
		Direct    bool
	}
	got := map[string]limits{}
	for name, c := range streams {
		got[name] = limits{
			c.Subjects, c.Retention, c.Discard, c.MaxAge, c.MaxBytes, c.MaxMsgs, c.MaxMsgsPerSubject, c.Duplicates, c.Storage, c.Replicas, c.AllowDirect,
		}
	}
	want := map[string]limits{
		"EVENTS": {Subjects: laneSubjects, Discard: jetstream.DiscardOld, MaxAge: 7 * day, MaxBytes: -1, MaxMsgs: -1, PerKey: -1, Window: 10 * time.Minute, Replicas: 1, Direct: true},
		"PRESTAGE_RESULTS": {
			Subjects: []string{"prestage.warmed.>", "prestage.failed.>"}, Discard: jetstream.DiscardOld,
			MaxAge: 30 * day, MaxBytes: 1 << 30, MaxMsgs: -1, PerKey: -1, Window: 2 * time.Minute, Replicas: 1, Direct: true,
		},
		"PRESTAGE_DLQ": {Subjects: []string{"prestage.dlq.>"}, Discard: jetstream.DiscardNew, MaxBytes: -1, MaxMsgs: -1, PerKey: -1, Window: 2 * time.Minute, Replicas: 1, Direct: true},
		"KV_prestage_objects": {
			Subjects: []string{"$KV.prestage_objects.>"}, Discard: jetstream.DiscardNew,
			MaxAge: 36 * time.Hour, MaxBytes: 1 << 30, MaxMsgs: -1, PerKey: 1, Window: 2 * time.Minute, Replicas: 1, Direct: true,
		},
		"KV_prestage_receipts": {
			Subjects: []string{"$KV.prestage_receipts.>"}, Discard: jetstream.DiscardNew,
			MaxAge: 30 * day, MaxBytes: -1, MaxMsgs: -1, PerKey: 1, Window: 2 * time.Minute, Replicas: 1, Direct: true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	for i, name := range []string{modelLane, checkpointLane} {
		c := consumers[name]
		subjects := [][]string{laneSubjects[:2], laneSubjects[2:]}[i]
		if diff := cmp.Diff(subjects, c.FilterSubjects); diff != "" {
			t.Error(diff)
		}
		if c.AckPolicy != jetstream.AckExplicitPolicy || c.DeliverPolicy != jetstream.DeliverAllPolicy || c.AckWait != 45*time.Second ||
			c.MaxDeliver != -1 || c.MaxAckPending != -1 || len(c.BackOff) != 0 || c.InactiveThreshold != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if lane := strings.TrimPrefix(name, "prestage-default-"); c.Metadata[ownerMetadata] != lane {
			t.Errorf("%s: metadata %v", name, c.Metadata)
		}
		if r.consumers[i].CachedInfo().Name != name {
			t.Errorf("lane %d consumes %s", i, r.consumers[i].CachedInfo().Name)
		}
	}
	if len(consumers) != 2 {
		t.Errorf("%d consumers", len(consumers))
	}
	if r.objects.Bucket() != ObjectsBucket || r.receipts.Bucket() != ReceiptsBucket {
		t.Errorf("buckets %s and %s", r.objects.Bucket(), r.receipts.Bucket())
	}
	if warned := log.lines(`"level":"WARN"`); len(warned) != 0 {
		t.Errorf("warned of its own work: %v", warned)
	}

	// Again, and with other wishes for what cannot be changed.
	again, log := newProvisioner(t, js, "PRESTAGE_ACK_WAIT=45s", "PRESTAGE_REPLICAS=3", "PRESTAGE_DEDUPE_TTL=1h")
	if _, err := again.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	streams2, consumers2 := inventory(t, js)
	if diff := cmp.Diff(streams, streams2) + cmp.Diff(consumers, consumers2); diff != "" {
		t.Errorf("the second call has changed:\n%s", diff)
	}
	if lines := log.lines("level"); len(lines) != 0 {
		t.Errorf("the second call said: %v", lines)
	}
}

func TestProvisionRefusesMistypedSubjects(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	p, _ := newProvisioner(t, js)
	if _, err := p.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(bounded(t), "events.chekpoint.written", nil); !errors.Is(err, jetstream.ErrNoStreamResponse) {
		t.Errorf("a mistyped subject: %v", err)
	}
	if _, err := js.Publish(bounded(t), "events.checkpoint.written.run-7", nil); err != nil {
		t.Error(err)
	}
}

func TestProvisionTwoAtOnce(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	var all sync.WaitGroup
	for range 4 {
		js := srv.JetStream(t)
		p, _ := newProvisioner(t, js)
		ctx := bounded(t)
		all.Go(func() {
			if _, err := p.ensure(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// late sees nothing of what exists at its first look, like a replica that
// starts a moment before another one provisions.
type late struct {
	jetstream.JetStream
	looked map[string]bool
}

func (l late) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if !l.looked[name] {
		l.looked[name] = true
		return nil, jetstream.ErrStreamNotFound
	}
	s, err := l.JetStream.Stream(ctx, name)
	return lateStream{s, l.looked}, err
}

func (l late) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	if !l.looked[bucket] {
		l.looked[bucket] = true
		return nil, jetstream.ErrBucketNotFound
	}
	return l.JetStream.KeyValue(ctx, bucket)
}

type lateStream struct {
	jetstream.Stream
	looked map[string]bool
}

func (l lateStream) Consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	if !l.looked[name] {
		l.looked[name] = true
		return nil, jetstream.ErrConsumerNotFound
	}
	return l.Stream.Consumer(ctx, name)
}

// TestProvisionAnotherWasFaster, and has other settings: what it made is used.
func TestProvisionAnotherWasFaster(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	first, _ := newProvisioner(t, js, "PRESTAGE_MODEL_SUBJECTS=other", "PRESTAGE_ACK_WAIT=1m", "PRESTAGE_DEDUPE_TTL=1h")
	if _, err := first.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	streams, _ := inventory(t, js)
	second, log := newProvisioner(t, late{js, map[string]bool{}})
	r, err := second.ensure(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := inventory(t, js); cmp.Diff(streams, after) != "" {
		t.Errorf("the streams have changed:\n%s", cmp.Diff(streams, after))
	}
	if r.objects == nil || r.receipts == nil || len(r.consumers) != 2 || r.events.CachedInfo().Config.Name != "EVENTS" {
		t.Errorf("got %+v", r)
	}
	if n := len(log.lines("updated consumer")); n != 2 { // both are prestage's own
		t.Errorf("%d consumers updated", n)
	}
}

// TestProvisionFewerReplicas: in a cluster that cannot keep three, one must do;
// a server that was asked for three and cannot says so.
func TestProvisionFewerReplicas(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	p, _ := newProvisioner(t, js)
	p.clustered = true
	r, err := p.ensure(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.events.CachedInfo().Config.Replicas; n != 1 {
		t.Errorf("%d replicas", n)
	}
	asked, _ := newProvisioner(t, natstest.Start(t).JetStream(t), "PRESTAGE_REPLICAS=3")
	if _, err := asked.ensure(bounded(t)); err == nil || !strings.Contains(err.Error(), "create stream EVENTS") {
		t.Errorf("three replicas on one server: %v", err)
	}
}

func TestProvisionAcceptsOtherStreams(t *testing.T) {
	t.Parallel()
	const (
		wider  = "wider than the lanes"
		narrow = "does not take all"
		forget = "does not keep its history"
	)
	for name, tt := range map[string]struct {
		stream jetstream.StreamConfig
		warned []string
	}{
		"wider":      {jetstream.StreamConfig{Subjects: []string{"events.>"}}, []string{wider}},
		"narrower":   {jetstream.StreamConfig{Subjects: laneSubjects[:5]}, []string{narrow}},
		"the same":   {jetstream.StreamConfig{Subjects: laneSubjects}, nil},
		"work queue": {jetstream.StreamConfig{Subjects: laneSubjects, Retention: jetstream.WorkQueuePolicy}, []string{forget}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream(t)
			tt.stream.Name = "EVENTS"
			have, err := js.CreateStream(t.Context(), tt.stream)
			if err != nil {
				t.Fatal(err)
			}
			p, log := newProvisioner(t, js)
			r, err := p.ensure(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(have.CachedInfo().Config, r.events.CachedInfo().Config); diff != "" {
				t.Errorf("the stream has changed:\n%s", diff)
			}
			for _, w := range []string{wider, narrow, forget} {
				if n, want := len(log.lines(`"level":"WARN"`, w)), slices.Contains(tt.warned, w); (n > 0) != want {
					t.Errorf("%d warnings that it %s", n, w)
				}
			}
		})
	}
}

// TestProvisionOverlappingStream: another stream has the subjects already. That
// is for a person, no use to wait.
func TestProvisionOverlappingStream(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"events.>"}}); err != nil {
		t.Fatal(err)
	}
	p, _ := newProvisioner(t, js)
	if _, err := p.ensure(bounded(t)); !hopeless(err) || !strings.Contains(err.Error(), "create stream EVENTS") {
		t.Errorf("got %v", err)
	}
}

func TestProvisionRefusesBrokenPromises(t *testing.T) {
	t.Parallel()
	sound := jetstream.ConsumerConfig{Durable: modelLane, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 30 * time.Second, MaxDeliver: -1}
	for reason, change := range map[string]func(*jetstream.ConsumerConfig){
		"":                         func(*jetstream.ConsumerConfig) {},
		"ack policy is AckNone":    func(c *jetstream.ConsumerConfig) { c.AckPolicy, c.AckWait = jetstream.AckNonePolicy, 0 },
		"ack policy is AckAll":     func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy },
		"MaxDeliver is 3":          func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 3 },
		"BackOff is set":           func(c *jetstream.ConsumerConfig) { c.BackOff = []time.Duration{10 * time.Second} },
		"AckWait is 4s, want at":   func(c *jetstream.ConsumerConfig) { c.AckWait = 4 * time.Second },
		"HeadersOnly is set":       func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true },
		"is a push consumer, want": func(c *jetstream.ConsumerConfig) { c.DeliverSubject = "here" },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream(t)
			s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: laneSubjects})
			if err != nil {
				t.Fatal(err)
			}
			c := sound
			change(&c)
			if c.DeliverSubject != "" {
				_, err = s.CreatePushConsumer(t.Context(), c)
			} else {
				_, err = s.CreateConsumer(t.Context(), c)
			}
			if err != nil {
				t.Fatal(err)
			}
			p, _ := newProvisioner(t, js)
			_, err = p.ensure(bounded(t))
			if reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !hopeless(err) || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), modelLane) {
				t.Errorf("got %v, want it to name %q", err, reason)
			}
		})
	}
}

func TestProvisionConsumerUpdates(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ  []string
		metadata map[string]string
		changed  bool
	}{
		"our own":                {nil, map[string]string{ownerMetadata: "model", "by": "me"}, true},
		"somebody else's":        {nil, map[string]string{"by": "me"}, false},
		"PRESTAGE_PROVISION off": {[]string{"PRESTAGE_PROVISION=false"}, map[string]string{ownerMetadata: "model"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream(t)
			all, _ := newProvisioner(t, js)
			r, err := all.ensure(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.events.DeleteConsumer(t.Context(), modelLane); err != nil {
				t.Fatal(err)
			}
			c, err := r.events.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
				Durable: modelLane, FilterSubject: "events.model.published", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
				MaxDeliver: -1, MaxAckPending: 77, Metadata: tt.metadata,
			})
			if err != nil {
				t.Fatal(err)
			}
			before := c.CachedInfo().Config
			p, log := newProvisioner(t, js, tt.environ...)
			r, err = p.ensure(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			want := before
			if tt.changed {
				want.FilterSubject, want.FilterSubjects, want.AckWait = "", laneSubjects[:2], 30*time.Second
			}
			got := r.consumers[0].CachedInfo().Config
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(jetstream.ConsumerConfig{}, "Metadata")); diff != "" {
				t.Error(diff)
			}
			for k, v := range tt.metadata {
				if got.Metadata[k] != v {
					t.Errorf("metadata %v", got.Metadata)
				}
			}
			if n := len(log.lines(`"level":"WARN"`, "used as it is", modelLane)); (n == 1) == tt.changed {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

// TestProvisionOff names what is missing, whichever it is.
func TestProvisionOff(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	on, _ := newProvisioner(t, js)
	if _, err := on.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	off, log := newProvisioner(t, js, "PRESTAGE_PROVISION=false")
	if _, err := off.ensure(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if lines := log.lines("level"); len(lines) != 0 {
		t.Errorf("said: %v", lines)
	}
	remove := map[string]func() error{
		"stream EVENTS":            func() error { return js.DeleteStream(t.Context(), "EVENTS") },
		"stream PRESTAGE_RESULTS":  func() error { return js.DeleteStream(t.Context(), "PRESTAGE_RESULTS") },
		"stream PRESTAGE_DLQ":      func() error { return js.DeleteStream(t.Context(), "PRESTAGE_DLQ") },
		"bucket prestage_objects":  func() error { return js.DeleteKeyValue(t.Context(), ObjectsBucket) },
		"bucket prestage_receipts": func() error { return js.DeleteKeyValue(t.Context(), ReceiptsBucket) },
		"consumer " + modelLane:    func() error { return js.DeleteConsumer(t.Context(), "EVENTS", modelLane) },
		"consumer " + checkpointLane: func() error {
			return js.DeleteConsumer(t.Context(), "EVENTS", checkpointLane)
		},
	}
	for _, what := range slices.Sorted(maps.Keys(remove)) {
		if err := remove[what](); err != nil {
			t.Fatal(err)
		}
		_, err := off.ensure(bounded(t))
		if !errors.Is(err, errSetup) || !hopeless(err) || !strings.Contains(err.Error(), what+" does not exist and PRESTAGE_PROVISION=false") {
			t.Errorf("without the %s: %v", what, err)
		}
		if _, err := on.ensure(bounded(t)); err != nil { // it comes back
			t.Fatal(err)
		}
	}
}

func TestHopeless(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("lost"), false},
		{wrap("x", errSetup), true},
		{wrap("x", &jetstream.APIError{Code: 400}), true},
		{wrap("x", &jetstream.APIError{Code: 503}), false},
		{refusal(400, 10065), true},  // subjects overlap
		{refusal(400, 10113), true},  // the account wants a limit of bytes
		{refusal(500, 10074), true},  // three replicas of one server
		{refusal(500, 10052), true},  // a subject like *.foo
		{refusal(503, 10008), false}, // no leader
		{refusal(503, 10023), false}, // insufficient resources
		{refusal(400, 10005), false}, // no suitable peers
		{refusal(400, 10002), false}, // the account's limits
		{refusal(400, 10202), false}, // servers come and go
		{refusal(404, 10059), false}, // just deleted
		{refusal(429, 10167), false}, // too many requests
		{jetstream.ErrStreamNotFound, false},
	} {
		if got := hopeless(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
	if wrap("x", nil) != nil {
		t.Error("nothing wrapped is something")
	}
}

func refusal(status int, code jetstream.ErrorCode) error {
	return wrap("x", &jetstream.APIError{Code: status, ErrorCode: code, Description: "refused"})
}

// cluster refuses to create anything with more than one replica.
type cluster struct {
	jetstream.JetStream
	refuse func() error
	asked  []int
}

func (*cluster) Stream(context.Context, string) (jetstream.Stream, error) {
	return nil, jetstream.ErrStreamNotFound
}

func (*cluster) KeyValue(context.Context, string) (jetstream.KeyValue, error) {
	return nil, jetstream.ErrBucketNotFound
}

func (c *cluster) CreateStream(_ context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	return nil, c.ask(want.Replicas)
}

func (c *cluster) CreateKeyValue(_ context.Context, want jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return nil, c.ask(want.Replicas)
}

func (c *cluster) ask(replicas int) error {
	c.asked = append(c.asked, replicas)
	if replicas > 1 {
		return c.refuse()
	}
	return nil
}

// TestProvisionInsistsOnReplicas: a refusal that may pass leaves nothing with
// one replica, which it would have for ever.
func TestProvisionInsistsOnReplicas(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err      error
		environ  []string
		at, late bool // whether one replica does: at once, after placePatience
	}{
		"no cluster":                   {refusal(500, 10074), nil, true, true},
		"no place":                     {refusal(400, 10005), nil, false, true},
		"no place, three asked for":    {refusal(400, 10005), []string{"PRESTAGE_REPLICAS=3"}, false, false},
		"no leader":                    {refusal(503, 10008), nil, false, false},
		"no resources":                 {refusal(503, 10023), nil, false, false},
		"the account has one only":     {refusal(400, 10120), nil, true, true},
		"no answer":                    {context.DeadlineExceeded, nil, false, false},
		"no cluster, three asked for":  {refusal(500, 10074), []string{"PRESTAGE_REPLICAS=3"}, false, false},
		"the account has no more room": {refusal(400, 10002), nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				js := &cluster{refuse: func() error { return tt.err }}
				p, _ := newProvisioner(t, js, tt.environ...)
				p.clustered = true
				for i, want := range []bool{tt.at, tt.at, tt.late} {
					if i == 2 {
						time.Sleep(placePatience)
					}
					js.asked = nil
					_, stream := p.stream(t.Context(), jetstream.StreamConfig{Name: "S"})
					_, bucket := p.bucket(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
					asked := []int{3, 3}
					if want {
						asked = []int{3, 1, 3, 1}
					}
					if (stream == nil) != want || (bucket == nil) != want || !slices.Equal(js.asked, asked) {
						t.Errorf("call %d: asked for %v: %v, %v", i+1, js.asked, stream, bucket)
					}
				}
			})
		})
	}
}

// TestProvisionPlaceComesBack: patience counts from the latest time that the
// cluster began to have no place.
func TestProvisionPlaceComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var err error
		js := &cluster{refuse: func() error { return err }}
		p, _ := newProvisioner(t, js)
		p.clustered = true
		create := func(refused error) error {
			err = refused
			_, err := p.stream(t.Context(), jetstream.StreamConfig{Name: "S"})
			return err
		}
		for _, between := range []error{nil, refusal(503, 10008)} {
			if create(refusal(400, 10005)) == nil {
				t.Error("one replica at the first refusal")
			}
			time.Sleep(placePatience - time.Second)
			_ = create(between)
			time.Sleep(time.Second)
			if create(refusal(400, 10005)) == nil {
				t.Errorf("one replica although %v came in between", between)
			}
		}
	})
}
