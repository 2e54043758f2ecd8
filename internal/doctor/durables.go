package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/replay"
)

// maxConsumers bounds how many consumers of a stream are looked at.
const maxConsumers = 1000

// durables looks at the lanes' consumers and at those that may be in their way,
// and returns the subjects that they ask for.
func (d *doctor) durables(ctx context.Context, b *broker, events jetstream.Stream) (needs []string) {
	lanes := d.Config.Setup().Consumers // with the subjects that they will have
	for i, want := range lanes {
		at := d.Config.Stream + "." + want.Durable
		needs = append(needs, "$JS.API.CONSUMER.INFO."+at, "$JS.API.CONSUMER.MSG.NEXT."+at, "$JS.ACK."+at+".>")
		var have *jetstream.ConsumerConfig
		if events != nil {
			have = d.durable(ctx, b, events, want)
		}
		switch {
		case have != nil && !d.Config.Follows(*have): // used as it is
			lanes[i].FilterSubjects = app.Filters(*have)
		case have != nil && have.AckWait == want.AckWait && sameSubjects(app.Filters(*have), want.FilterSubjects):
		case d.Config.Provision: // created or updated
			needs = append(needs, "$JS.API.CONSUMER.CREATE."+at)
		}
	}
	if events != nil {
		d.overlaps(ctx, b, events, lanes)
	}
	return needs
}

// durable looks one up and says whether the daemon would take it. nil: there is
// none.
func (d *doctor) durable(ctx context.Context, b *broker, events jetstream.Stream, want jetstream.ConsumerConfig) *jetstream.ConsumerConfig {
	t := d.topic("consumer %s", want.Durable)
	anew := fmt.Sprintf("nats consumer rm %s %s: the daemon makes it anew, and does not fill again what is on record", d.Config.Stream, want.Durable)
	var c jetstream.Consumer
	err := b.ask(ctx, func(ctx context.Context) (err error) {
		c, err = events.Consumer(ctx, want.Durable)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound) && d.Config.Provision:
		t.fine("does not exist, the daemon will create it")
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		notProvisioned(t)
		return nil
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		t.fail(anew, "is a push consumer, want a pull consumer")
		return nil
	case err != nil:
		unanswered(t, err)
		return nil
	}
	info := c.CachedInfo()
	have := info.Config
	if err := app.KeepsPromises(have); err != nil {
		t.fail(anew, "%v", err)
	}
	if !d.Config.Follows(have) && !sameSubjects(app.Filters(have), want.FilterSubjects) {
		t.warn(anew, "takes %s and not the configured %s, and is used as it is", text(app.Filters(have)), text(want.FilterSubjects))
	}
	if have.MaxAckPending > 0 {
		t.warn(fmt.Sprintf("nats consumer edit %s %s --max-pending=-1", d.Config.Stream, want.Durable),
			"MaxAckPending is %d: events that wait for one bucket keep their places and can stop the lane", have.MaxAckPending)
	}
	if have.InactiveThreshold > 0 {
		t.warn(anew, "is deleted, with its place in the stream, when nobody asks it for %s", have.InactiveThreshold)
	}
	if info.Paused {
		t.warn(fmt.Sprintf("prestage resume, or nats consumer resume %s %s", d.Config.Stream, want.Durable),
			"is paused for another %s", info.PauseRemaining.Round(time.Second))
	}
	t.fine("exists, %d events to come, %d in hand", info.NumPending, info.NumAckPending)
	return &have
}

// overlaps looks for events that reach prestage twice. JetStream accepts
// overlapping filters of two consumers, and delivers to both.
func (d *doctor) overlaps(ctx context.Context, b *broker, events jetstream.Stream, lanes []jetstream.ConsumerConfig) {
	t := d.topic("overlaps")
	if s := meeting(lanes[0].FilterSubjects, lanes[1].FilterSubjects); s != "" {
		t.warn("delete the one that is not as configured, the daemon makes it anew: nats consumer rm "+d.Config.Stream,
			"%s and %s both take %s: such events are handled twice", lanes[0].Durable, lanes[1].Durable, s)
	}
	err := b.ask(ctx, func(ctx context.Context) error {
		list := events.ListConsumers(ctx)
		seen := 0
		for info := range list.Info() {
			if seen++; seen <= maxConsumers { // the list must be read to its end
				d.rival(t, info.Config, lanes)
			}
		}
		return list.Err()
	})
	if err != nil { // the daemon never asks for it
		t.warn("permit publishing to $JS.API.CONSUMER.LIST."+d.Config.Stream+" if you want to see them; the daemon does without", "the stream's consumers cannot be seen: %v", err)
	}
	t.fine("no other consumer of prestage takes the lanes' events")
}

// rival complains of a consumer that belongs to prestage, is none of the lanes
// and takes the events of one.
func (d *doctor) rival(t *topic, other jetstream.ConsumerConfig, lanes []jetstream.ConsumerConfig) {
	own := slices.ContainsFunc(lanes, func(l jetstream.ConsumerConfig) bool { return l.Durable == other.Durable })
	if own || !strings.HasPrefix(other.Durable, "prestage-") {
		return
	}
	if strings.HasSuffix(other.Durable, "-dry") || replay.Owns(other) { // it fills nothing, or what it was told to
		return
	}
	for _, l := range lanes {
		if s := meeting(l.FilterSubjects, app.Filters(other)); s != "" {
			t.warn("fine if it warms another cluster's cache (PRESTAGE_CLUSTER); else delete it: nats consumer rm "+d.Config.Stream+" "+other.Durable,
				"%s, of another instance of prestage, takes %s as %s does", other.Durable, s, l.Durable)
		}
	}
}

// meeting is one of a's subjects that has messages in common with b's, "" when
// there is none. No subject means all.
func meeting(a, b []string) string {
	if len(a) == 0 {
		a = []string{">"}
	}
	if len(b) == 0 {
		b = []string{">"}
	}
	i := slices.IndexFunc(a, func(s string) bool { return meetsAny(s, b) })
	if i < 0 {
		return ""
	}
	return a[i]
}

func sameSubjects(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func text(subjects []string) string {
	if len(subjects) == 0 {
		return "everything"
	}
	return strings.Join(subjects, " ")
}
