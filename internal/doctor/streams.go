package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
)

// streams looks at everything in JetStream that the daemon uses, and returns
// the subjects that it publishes to, given what exists and what does not yet.
func (d *doctor) streams(ctx context.Context, b *broker) (needs []string) {
	want := d.Config.Setup()

	events := d.stream(ctx, b, want.Events, d.reviewEvents)
	needs = append(needs, d.streamNeeds(want.Events.Name, events != nil)...)
	// Each by its sequence, and the last one of a subject.
	needs = append(needs, "$JS.API.DIRECT.GET."+want.Events.Name, "$JS.API.DIRECT.GET."+want.Events.Name+".>")
	if events != nil {
		d.subjects(events.CachedInfo().Config)
	}
	needs = append(needs, d.durables(ctx, b, events)...)

	results := d.stream(ctx, b, want.Results, d.reviewResults)
	needs = append(needs, d.streamNeeds(want.Results.Name, results != nil)...)
	letters := d.stream(ctx, b, want.Letters, d.reviewLetters)
	needs = append(needs, d.streamNeeds(want.Letters.Name, letters != nil)...)
	needs = append(needs, d.output("warmed"), d.output("failed"), d.output("dlq"))
	// To close the letter of a redriven event it is read and removed.
	needs = append(needs, "$JS.API.DIRECT.GET."+want.Letters.Name, "$JS.API.STREAM.MSG.DELETE."+want.Letters.Name)

	for _, kv := range []struct {
		want jetstream.KeyValueConfig
		ttl  time.Duration
		why  string
	}{
		{want.Objects, d.Config.DedupeTTL, "PRESTAGE_DEDUPE_TTL: what was filled is forgotten early and asked for again"},
		{want.Receipts, d.Config.GiveUpAfter, "PRESTAGE_GIVE_UP_AFTER: how long an event has been waiting is forgotten, so that it may wait for ever"},
	} {
		exists := d.bucketTTL(ctx, b, kv.want, kv.ttl, kv.why)
		stream := "KV_" + kv.want.Bucket
		needs = append(needs, d.streamNeeds(stream, exists)...)
		if !exists && d.Config.Provision {
			needs = append(needs, accountInfo) // the client asks for it before it creates a bucket
		}
		needs = append(needs, "$KV."+kv.want.Bucket+"."+d.Config.Cluster+".>", "$JS.API.DIRECT.GET."+stream+".>")
	}
	return needs
}

// output is where the daemon publishes what became of this cluster's events.
func (d *doctor) output(kind string) string {
	return "prestage." + kind + "." + d.Config.Cluster + ".>"
}

// streamNeeds are the API subjects that one stream asks for.
func (d *doctor) streamNeeds(name string, exists bool) []string {
	needs := []string{"$JS.API.STREAM.INFO." + name}
	if !exists && d.Config.Provision {
		needs = append(needs, "$JS.API.STREAM.CREATE."+name)
	}
	return needs
}

// stream looks a stream up and has it reviewed. nil: there is none to look at.
func (d *doctor) stream(ctx context.Context, b *broker, want jetstream.StreamConfig, review func(*topic, jetstream.StreamConfig)) jetstream.Stream {
	t := d.topic("stream %s", want.Name)
	var s jetstream.Stream
	err := b.ask(ctx, func(ctx context.Context) (err error) {
		s, err = b.js.Stream(ctx, want.Name)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && d.Config.Provision:
		d.creatable(ctx, b, t, want)
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		notProvisioned(t)
		return nil
	case err != nil:
		unanswered(t, err)
		return nil
	}
	info := s.CachedInfo()
	review(t, info.Config)
	t.fine("exists, %d messages", info.State.Msgs)
	return s
}

// notProvisioned complains of what is missing and will not be created.
func notProvisioned(t *topic) {
	t.fail("create it, or set PRESTAGE_PROVISION=true", "does not exist and PRESTAGE_PROVISION=false")
}

// creatable says whether a stream that does not exist could be created.
func (d *doctor) creatable(ctx context.Context, b *broker, t *topic, want jetstream.StreamConfig) {
	for _, subject := range want.Subjects {
		var owner string
		err := b.ask(ctx, func(ctx context.Context) (err error) {
			owner, err = b.js.StreamNameBySubject(ctx, subject)
			return err
		})
		if err != nil { // nobody's, or not to be seen
			continue
		}
		remedy := fmt.Sprintf("take %s out of the stream %s: subjects of two streams must not overlap", subject, owner)
		if want.Name == d.Config.Stream {
			remedy = fmt.Sprintf("set PRESTAGE_STREAM=%s, or take %s out of that stream: subjects of two streams must not overlap", owner, subject)
		}
		t.fail(remedy, "does not exist and cannot be created: the subject %s belongs to the stream %s", subject, owner)
		return
	}
	t.fine("does not exist, the daemon will create it")
}

// reviewEvents looks at the stream that is consumed.
func (d *doctor) reviewEvents(t *topic, c jetstream.StreamConfig) {
	if c.Retention != jetstream.LimitsPolicy {
		t.warn("make it anew with retention limits if you want to replay", "retention is %s: events are deleted once acked and cannot be replayed", c.Retention)
	}
	if c.MaxAge > 0 && c.MaxAge < d.Config.GiveUpAfter {
		t.warn(fmt.Sprintf("nats stream edit %s --max-age 7d, or a shorter PRESTAGE_GIVE_UP_AFTER", c.Name),
			"events live for %s only, less than PRESTAGE_GIVE_UP_AFTER (%s): one that waits for a bucket is lost before it is given up", c.MaxAge, d.Config.GiveUpAfter)
	}
	if c.MaxMsgsPerSubject > 0 {
		t.warn(fmt.Sprintf("nats stream edit %s --max-msgs-per-subject=-1", c.Name),
			"keeps %d messages of a subject: a newer event deletes an older one that nobody has handled", c.MaxMsgsPerSubject)
	}
	if c.Storage == jetstream.MemoryStorage {
		t.warn("make it anew with file storage", "is kept in memory: a restart of the server loses its events")
	}
}

func (d *doctor) reviewResults(t *topic, c jetstream.StreamConfig) {
	d.reviewOutput(t, c, d.output("warmed"), d.output("failed"))
	if c.Discard != jetstream.DiscardOld && (c.MaxBytes > 0 || c.MaxMsgs > 0) {
		t.warn(fmt.Sprintf("nats stream edit %s --discard old", c.Name), "discards new messages: once it is full, results are lost")
	}
}

func (d *doctor) reviewLetters(t *topic, c jetstream.StreamConfig) {
	d.reviewOutput(t, c, d.output("dlq"))
	if c.Discard != jetstream.DiscardNew && (c.MaxBytes > 0 || c.MaxMsgs > 0) {
		t.warn(fmt.Sprintf("nats stream edit %s --discard new", c.Name), "discards old messages: once it is full, dead letters are lost unseen")
	}
	if c.MaxAge > 0 {
		t.warn(fmt.Sprintf("nats stream edit %s --max-age 0s", c.Name), "deletes dead letters after %s", c.MaxAge)
	}
}

// reviewOutput looks at a stream that the daemon writes.
func (d *doctor) reviewOutput(t *topic, c jetstream.StreamConfig, subjects ...string) {
	for _, s := range subjects {
		if !app.Covered(s, c.Subjects) {
			t.fail(fmt.Sprintf("add %s to the subjects of %s, or delete the stream: the daemon makes it anew", s, c.Name),
				"does not take %s: what became of events cannot be stored", s)
		}
	}
	if c.Retention != jetstream.LimitsPolicy {
		t.warn("make it anew with retention limits", "retention is %s: what is read, or what nobody waits for, is deleted", c.Retention)
	}
}

// bucketTTL looks a KV bucket up. One that forgets earlier than least is no good,
// which why explains.
func (d *doctor) bucketTTL(ctx context.Context, b *broker, want jetstream.KeyValueConfig, least time.Duration, why string) (exists bool) {
	t := d.topic("kv %s", want.Bucket)
	var status jetstream.KeyValueStatus
	err := b.ask(ctx, func(ctx context.Context) error {
		kv, err := b.js.KeyValue(ctx, want.Bucket)
		if err != nil {
			return err
		}
		status, err = kv.Status(ctx)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound) && d.Config.Provision:
		t.fine("does not exist, the daemon will create it")
		return false
	case errors.Is(err, jetstream.ErrBucketNotFound):
		notProvisioned(t)
		return false
	case err != nil:
		unanswered(t, err)
		return true
	}
	if ttl := status.TTL(); ttl > 0 && ttl < least {
		t.warn(fmt.Sprintf("nats stream edit KV_%s --max-age %s", want.Bucket, least), "forgets after %s, earlier than %s", ttl, why)
	}
	t.fine("exists, %d values", status.Values())
	return true
}
