package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/status"
)

// statusCmd tells how the cluster, or an event, stands.
type statusCmd struct {
	EventID string `arg:"" optional:"" name:"event-id" help:"Tell the story of one event."`
	Watch   bool   `help:"Tell again every two seconds, until it is interrupted."`
	Output  string `enum:"text,json" default:"text" help:"text or json."`
}

// statusEvery is the pace of --watch.
const statusEvery = 2 * time.Second

// Run asks over NATS, so that it works from anywhere. For the objects of an event
// that names a prefix or a manifest it also asks the store, if it can.
func (c statusCmd) Run(ctx context.Context, w world) error {
	cfg, js, closeIt, err := w.jetStream()
	if err != nil {
		return err
	}
	defer closeIt()
	source := cfg.StatusSource(js)
	if c.EventID != "" {
		var stop func()
		source.Expand, stop = expander(ctx, cfg)
		defer stop()
	}
	for {
		err := c.once(ctx, w, source)
		switch {
		case !c.Watch:
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil: // it may pass
			fmt.Fprintf(w.stderr, "prestage: %s\n", visible(err.Error()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(statusEvery):
		}
	}
}

func (c statusCmd) once(ctx context.Context, w world, source status.Source) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var told any
	var text string
	if c.EventID == "" {
		s, err := status.Read(ctx, source)
		if err != nil {
			return err
		}
		told, text = s, statusText(s)
	} else {
		e, err := status.ReadEvent(ctx, source, c.EventID)
		if err != nil {
			return err
		}
		if !e.Known() && !c.Watch {
			return fmt.Errorf("no receipt of event %s in cluster %s: no replica has had it yet, or it is longer ago than receipts are kept", visible(c.EventID), source.Cluster)
		}
		told, text = e, eventText(e)
	}
	if c.Output == "json" {
		line, err := visibleJSON(told)
		if err != nil {
			return err
		}
		text = string(line) + "\n"
	}
	_, err := fmt.Fprint(w.stdout, text)
	return err
}

func statusText(s status.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s, stream %s with %d messages, %s\n", s.Cluster, s.Stream, s.Messages, s.Time.Format(time.RFC3339))
	for _, l := range s.Lanes {
		fmt.Fprintf(&b, "%-10s %d waiting, %d in flight", l.Lane, l.Waiting, l.InFlight)
		if !l.OldestEvent.IsZero() {
			fmt.Fprintf(&b, ", the oldest event is %s old", ageText(s.Time.Sub(l.OldestEvent)))
		}
		if !l.PausedUntil.IsZero() {
			fmt.Fprintf(&b, ", PAUSED until %s", l.PausedUntil.Format(time.RFC3339))
		}
		if l.Problem != "" {
			b.WriteString(", " + l.Problem)
		}
		b.WriteByte('\n')
	}
	for _, i := range s.Instances {
		fmt.Fprintf(&b, "%-10s %s", "instance", instanceText(i))
	}
	if len(s.Instances) == 0 {
		fmt.Fprintf(&b, "%-10s none answers\n", "instance")
	}
	fmt.Fprintf(&b, "%-10s %d", "letters", s.DeadLetters.Total)
	if s.DeadLetters.More {
		b.WriteString(" and more")
	}
	for _, r := range slices.Sorted(maps.Keys(s.DeadLetters.ByReason)) {
		fmt.Fprintf(&b, ", %d %s", s.DeadLetters.ByReason[r], visible(string(r)))
	}
	if s.DeadLetters.Redriven > 0 {
		fmt.Fprintf(&b, " (%d redriven and not closed yet)", s.DeadLetters.Redriven)
	}
	b.WriteByte('\n')
	if a := s.Budget; a != nil {
		fmt.Fprintf(&b, "%-10s %s of %s used in the last hour", "budget", byteText(a.Used), byteText(a.Limit))
		if !a.WaitsUntil.IsZero() {
			fmt.Fprintf(&b, ", routine fills WAIT until %s", a.WaitsUntil.Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	for _, r := range s.Receipts {
		fmt.Fprintf(&b, "%-10s %s\n", "receipt", receiptText(r))
	}
	return b.String()
}

// instanceText is a line of what an instance is at, and one for each thing that
// is not well.
func instanceText(i status.Instance) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d requests in flight, limit %d of %d, %s, confirm %s", cell(i.Name, 80), i.InFlight, i.Limit, i.Ceiling, cell(i.Endpoint, 80), cell(i.Confirm.Mode, 20))
	if i.Confirm.Discriminate {
		b.WriteString(" (more than accepted is known)")
	}
	if len(i.Tasks) > 0 {
		t := i.Tasks[0]
		fmt.Fprintf(&b, ", filling %d events, the longest for %s: %s", len(i.Tasks), ageText(time.Since(t.Received)), cell(t.EventID, 80))
	}
	b.WriteByte('\n')
	if i.NotReady != "" {
		fmt.Fprintf(&b, "%-10s not ready: %s\n", "", cell(i.NotReady, 240))
	}
	for _, r := range i.Breakers {
		fmt.Fprintf(&b, "%-10s holds back bucket %s for %s, next tried %s: %s: %s\n", "", cell(r.Bucket, 80),
			ageText(time.Since(r.Since)), r.Trial.Format(time.TimeOnly), cell(string(r.Reason), 20), cell(r.Error, 200))
	}
	return b.String()
}

// expander is the engine's, which says nothing: what it cannot do is in the
// status, and a set-up that is not in order is told there as well.
func expander(ctx context.Context, cfg app.Config) (expand status.Expander, stop func()) {
	quiet := slog.New(slog.DiscardHandler)
	engine, err := func() (*app.Engine, error) {
		aws, err := loadAWS(ctx, quiet)
		if err != nil {
			return nil, err
		}
		return app.NewEngine(ctx, cfg, app.Deps{Log: quiet, Registry: prometheus.NewRegistry(), AWS: aws}, dedupe.NewMemory())
	}()
	if err != nil {
		return func(context.Context, events.Event, string, time.Time, func(prestage.Item) error) error { return err }, func() {}
	}
	return engine.Expand, engine.Close
}

// receiptText is a receipt in a line.
func receiptText(r consumer.Receipt) string {
	text := fmt.Sprintf("%s/%d %s", r.Stream, r.StreamSeq, r.Outcome)
	if more := string(r.Verdict) + string(r.Reason); more != "" { // there is one of the two
		text += " (" + more + ")"
	}
	text += " event " + r.EventID
	if r.Replay != "" {
		text += ", by the replay " + r.Replay
	} else if r.Outcome == consumer.Warm {
		text += fmt.Sprintf(", %.1f s after the stream had it", r.EventToWarmSeconds)
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return cell(text, 240)
}
