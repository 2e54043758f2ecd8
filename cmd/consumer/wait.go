package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// waitCmd blocks until something is warm.
type waitCmd struct {
	Targets    []string      `arg:"" name:"target" help:"s3://bucket/key, s3://bucket/prefix/ with the slash, or event ids; all have to be warm."`
	Timeout    time.Duration `default:"10m" help:"Exit 3 after this long."`
	AnyVersion bool          `help:"Of a URI: trust the record, and ask the store nothing."`
	Require    string        `enum:"accepted,synchronous,verified" default:"accepted" help:"How the fill must be known at least: accepted, synchronous or verified."`
	Output     string        `enum:"text,json" default:"text" help:"text, or json: a line a target."`
}

// waited is what came of one target.
type waited struct {
	Target  string          `json:"target"`
	Outcome string          `json:"outcome"` // warm, skipped, dead_lettered, failed or timed_out
	Reason  outcome.Reason  `json:"reason"`
	Verdict outcome.Verdict `json:"verdict"`
	WarmAt  time.Time       `json:"warm_at,omitzero"`
	Error   string          `json:"error"`

	code int
}

// Run waits for all targets at once.
func (c waitCmd) Run(ctx context.Context, w world) error {
	if c.Timeout <= 0 {
		return &exitError{exitUsage, errors.New("--timeout: want a duration above 0, such as 10m")}
	}
	refs := make([]object.Ref, len(c.Targets)) // zero: an event id
	var need needs
	for i, t := range c.Targets {
		if t == "" {
			return &exitError{exitUsage, errors.New("wait: a target is empty")}
		}
		if !strings.Contains(t, "://") {
			need.receipts = true
			continue
		}
		need.records = true
		var err error
		if refs[i], err = object.ParseURI(t); err == nil && refs[i].Key == "" {
			err = errors.New("a whole bucket is not waited for")
		}
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("wait: %s: %w", visible(t), err)}
		}
		need.store = need.store || !c.AnyVersion || refs[i].IsPrefix()
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	waiter, err := c.waiter(ctx, w, need)
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return &exitError{exitTimeout, fmt.Errorf("wait: nothing is known after %s: %w", c.Timeout, err)}
		}
		return err
	}
	defer waiter.close()

	results := make(chan waited)
	var group sync.WaitGroup
	for i, t := range c.Targets {
		group.Go(func() {
			if refs[i].Bucket == "" {
				results <- waiter.event(ctx, t)
			} else {
				results <- waiter.uri(ctx, t, refs[i])
			}
		})
	}
	go func() {
		group.Wait()
		close(results)
	}()
	return c.report(w, results)
}

// report prints results as they come. The worst one is the error.
func (c waitCmd) report(w world, results <-chan waited) error {
	var worst waited
	n, bad := 0, 0
	for r := range results {
		n++
		if r.code != exitDone {
			bad++
			if worst.code == exitDone || r.code == exitFailed { // waiting longer would not help
				worst = r
			}
		}
		var line []byte
		switch {
		case c.Output == "json":
			var err error
			if line, err = visibleJSON(r); err != nil {
				return err
			}
		case r.code == exitDone || len(c.Targets) > 1:
			line = []byte(visible(r.Target + ": " + r.text()))
		default: // told as the error
			continue
		}
		fmt.Fprintf(w.stdout, "%s\n", line)
	}
	if bad == 0 {
		return nil
	}
	text := visible(fmt.Sprintf("wait: %s: %s", worst.Target, worst.text()))
	if n > 1 {
		text += fmt.Sprintf(" (%d of %d are not warm)", bad, n)
	}
	return &exitError{worst.code, errors.New(text)}
}

func (r waited) text() string {
	switch {
	case r.code == exitTimeout:
		return "timed out: " + r.Error
	case r.Outcome == string(consumer.DeadLettered):
		return fmt.Sprintf("dead-lettered as %s: %s", r.Reason, r.Error)
	case r.Error != "":
		return r.Outcome + ": " + r.Error
	case r.Reason != "":
		return r.Outcome + ": " + string(r.Reason)
	default:
		return fmt.Sprintf("%s (%s)", r.Outcome, r.Verdict)
	}
}

// letterTimeout bounds the look for a dead letter.
const letterTimeout = 5 * time.Second

// waiter waits for single targets.
type waiter struct {
	cmd      waitCmd
	cfg      app.Config
	js       jetstream.JetStream
	receipts jetstream.KeyValue
	ledger   *dedupe.KV
	engine   *app.Engine // nil: the store is not asked
	stop     []func()
}

// needs are what targets are looked up in.
type needs struct{ receipts, records, store bool }

func (c waitCmd) waiter(ctx context.Context, w world, need needs) (_ *waiter, err error) {
	x := &waiter{cmd: c}
	defer func() {
		if err != nil {
			x.close()
		}
	}()
	cfg, js, closeIt, err := w.jetStreamUntil(ctx)
	if err != nil {
		return nil, err
	}
	x.cfg, x.js, x.stop = cfg, js, append(x.stop, closeIt)
	if need.receipts {
		if x.receipts, err = appearing(ctx, js, app.ReceiptsBucket); err != nil {
			return nil, err
		}
	}
	if !need.records {
		return x, nil
	}
	objects, err := appearing(ctx, js, app.ObjectsBucket)
	if err != nil {
		return nil, err
	}
	x.ledger = dedupe.NewKV(js, objects, x.cfg.Cluster, dedupe.KVOptions{Logger: w.quietLogger()})
	if !need.store {
		return x, nil
	}
	if x.engine, err = w.engine(ctx, x.cfg, x.ledger); err != nil {
		return nil, err
	}
	x.stop = append(x.stop, x.engine.Close)
	return x, nil
}

// askTimeout bounds one request for a bucket: an answer that was lost with a
// connection never comes.
const askTimeout = 5 * time.Second

// appearing opens a bucket, as soon as there is one: who waits may have been
// started before the daemon, which creates it.
func appearing(ctx context.Context, js jetstream.JetStream, bucket string) (jetstream.KeyValue, error) {
	open := func() (jetstream.KeyValue, error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		return js.KeyValue(ctx, bucket)
	}
	for missing := false; ; {
		kv, err := open()
		silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
		switch {
		case err == nil:
			return kv, nil
		case errors.Is(err, jetstream.ErrBucketNotFound):
			missing = true
		case !silent:
			return nil, fmt.Errorf("bucket %s: %w", bucket, err)
		}
		select {
		case <-ctx.Done():
			if missing { // when it was last answered for
				return nil, fmt.Errorf("there is no bucket %s to wait in, does prestage run?", bucket)
			}
			return nil, fmt.Errorf("bucket %s: %w", bucket, err)
		case <-time.After(time.Second):
		}
	}
}

func (x *waiter) close() {
	for _, stop := range slices.Backward(x.stop) {
		stop()
	}
}

// enough says that v is known as well as --require asks.
func (x *waiter) enough(v outcome.Verdict) bool {
	need := outcome.Verdict(x.cmd.Require)
	return need == outcome.Accepted || (v != "" && outcome.Weaker(v, need) == need)
}

// event waits for the receipt of an event. One that was dead-lettered and redriven
// since is as open as before.
func (x *waiter) event(ctx context.Context, id string) waited {
	var r consumer.Receipt
	var err error
	for from := uint64(0); ; {
		r, err = consumer.Await(ctx, x.receipts, consumer.ReceiptKeys(x.cfg.Cluster, id), func(r consumer.Receipt) bool { return r.StreamSeq >= from })
		if err != nil || r.Outcome != consumer.DeadLettered {
			break
		}
		redriven := x.redriven(ctx, r)
		if redriven <= r.StreamSeq {
			break
		}
		from = redriven
	}
	out := waited{Target: id, Outcome: string(r.Outcome), Reason: r.Reason, Verdict: r.Verdict, WarmAt: r.WarmAt, Error: r.Error}
	switch {
	case err != nil:
		state := fmt.Sprintf("no replica of cluster %s has had the event yet; was it published?", x.cfg.Cluster)
		if r.Outcome != "" {
			state = fmt.Sprintf("the event is %s after %d attempts: %s", r.Outcome, r.Attempts, r.Error)
		}
		return out.ended(ctx, err, state)
	case r.Outcome == consumer.DeadLettered:
		out.code = exitFailed
	case r.Outcome == consumer.Skipped:
		out.Error = ""
		if !asGoodAsWarm(r.Reason) {
			out.code, out.Error = exitFailed, string(r.Reason)+", so that nothing was made warm"
		}
	case !x.enough(r.Verdict):
		out.code, out.Outcome, out.Error = exitFailed, failed, fmt.Sprintf("warm, but known as %s only", r.Verdict)
	}
	return out
}

// redriven is where a dead-lettered event is in its stream since its letter was
// redriven, 0 when it was not, or nobody tells.
func (x *waiter) redriven(ctx context.Context, r consumer.Receipt) (seq uint64) {
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	letters, err := x.js.Stream(ctx, dlq.Stream)
	if err != nil { // its user may not read it: the receipt holds
		return 0
	}
	subject := dlq.Subject(r.Cluster, r.Stream, r.StreamSeq)
	_ = dlq.New(x.js, letters, r.Cluster).Each(ctx, []string{subject, subject + ".>"}, func(l dlq.Letter) error {
		if l.EventTime.Equal(r.StreamTime) {
			seq = max(seq, l.Mark.Seq)
		}
		return nil
	})
	return seq
}

// asGoodAsWarm says that a skip is because LOTA keeps no such object, or has it.
func asGoodAsWarm(r outcome.Reason) bool {
	return r == outcome.TooSmall || r == outcome.Empty || r == outcome.AlreadyWarm
}

// ended fills in what an error of waiting means.
func (r waited) ended(ctx context.Context, err error, state string) waited {
	r.code, r.Outcome, r.Error = exitFailed, failed, err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		r.code, r.Outcome, r.Error = exitTimeout, "timed_out", state
	case ctx.Err() != nil:
		r.Error = "interrupted; " + state
	}
	return r
}
