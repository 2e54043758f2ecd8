package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/publish"
)

// publishCmd publishes one native event.
type publishCmd struct {
	URI          string        `arg:"" optional:"" name:"uri" help:"What to warm: s3://bucket/key, or s3://bucket/prefix/ with the slash; or models:/name/version, models:/name@alias, runs:/id/path."`
	Manifest     string        `help:"URI of a manifest instead: a JSON list of URIs or objects, or a safetensors index."`
	Kind         string        `enum:"checkpoint,model," default:"" help:"checkpoint or model; model when --model is given, else checkpoint."`
	Run_         string        `name:"run" help:"Training run that wrote the checkpoint."`
	Step         *int64        `help:"Training step."`
	Model        string        `help:"Name of the model."`
	ModelVersion string        `name:"model-version" help:"Version of the model."`
	Format       string        `help:"Layout of the checkpoint, such as dcp."`
	Complete     bool          `help:"Nothing more will be written below the prefix."`
	TotalObjects int64         `help:"How many keys there must be below the prefix."`
	TotalBytes   int64         `help:"How many bytes there must be."`
	ID           string        `help:"Event id; a new one by default. The same id and source within the stream's window is one event."`
	Source       string        `help:"Event source, a URI reference; made of the run or the model by default."`
	Subject      string        `help:"Subject; by default the lane's first one, with the run or model below it."`
	Wait         bool          `help:"Wait until the event is warm."`
	Timeout      time.Duration `default:"10m" help:"With --wait: exit 3 after this long. For the publish itself 10s is the most."`
	Output       string        `enum:"text,json" default:"text" help:"text or json."`
}

// sendTimeout bounds connecting and publishing.
const sendTimeout = 10 * time.Second

// Run publishes, and waits if asked to.
func (p publishCmd) Run(ctx context.Context, w world) error {
	c, err := w.config()
	if err != nil {
		return err
	}
	e, subject, err := p.event(c)
	if err != nil {
		return err
	}
	m, err := publish.Message(e, subject)
	if err != nil {
		if refused, ok := errors.AsType[*outcome.Error](err); ok && refused.Reason == outcome.Malformed {
			err = refused.Err // the hint tells of events, which are not written by hand here
		}
		return &exitError{exitUsage, fmt.Errorf("publish: %w", err)}
	}
	sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	nc, err := w.dial(c)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	sent, err := publish.Send(sendCtx, js, c.Stream, e, m)
	if err != nil {
		return err
	}
	if !p.Wait {
		return p.print(w, sent, told(sent))
	}
	return p.await(ctx, w, js, c.Cluster, sent)
}

// told says where an event is in the stream. A duplicate was there before, and
// nothing has been added.
func told(s publish.Sent) string {
	if s.Duplicate {
		return fmt.Sprintf("already in the stream: %s is %s/%d", s.ID, s.Stream, s.Seq)
	}
	return fmt.Sprintf("stored %s as %s/%d", s.ID, s.Stream, s.Seq)
}

// soFar says what is known of an event that has not ended.
func soFar(r consumer.Receipt, cluster string) string {
	switch {
	case r.Outcome == "":
		return fmt.Sprintf("it has no receipt yet: does prestage run for the cluster %q (PRESTAGE_CLUSTER), and is it ready?", cluster)
	case r.Error == "":
		return "it is being worked on, without an error"
	default:
		return fmt.Sprintf("last error: %q", r.Error)
	}
}

func (p publishCmd) event(c app.Config) (e publish.Event, subject string, err error) {
	if (p.URI == "") == (p.Manifest == "") {
		return e, "", &exitError{exitUsage, errors.New("publish: name a URI or a --manifest, one of them")}
	}
	kind, name := p.Kind, p.Run_
	if kind == "" {
		kind = "checkpoint"
		if p.Model != "" && p.Run_ == "" {
			kind = "model"
		}
	}
	e = publish.Event{
		Type: publish.CheckpointWritten, ID: p.ID, Source: p.Source, Time: time.Now().UTC(),
		Data: publish.Data{
			URI: p.URI, Manifest: p.Manifest, Run: p.Run_, Step: p.Step, Model: p.Model, Version: p.ModelVersion,
			Format: p.Format, Complete: p.Complete, TotalObjects: p.TotalObjects, TotalBytes: p.TotalBytes,
		},
		WholeBucket: c.Rules != "",
	}
	bases := c.CheckpointSubjects
	if kind == "model" {
		e.Type, name, bases = publish.ModelPublished, p.Model, c.ModelSubjects
	}
	if e.ID == "" {
		e.ID = nuid.Next()
	}
	if e.Source == "" {
		e.Source = publish.Source(kind, name)
	}
	if subject = p.Subject; subject == "" {
		subject = publish.Subject(bases[0], name)
	}
	if err := checkSubject(subject); err != nil {
		return e, "", &exitError{exitUsage, fmt.Errorf("publish: %w", err)}
	}
	return e, subject, nil
}

// checkSubject refuses patterns, which a lane's subjects may be.
func checkSubject(subject string) error {
	if strings.ContainsAny(subject, "*> \t\r\n") {
		return fmt.Errorf("%q cannot be published to, name one with --subject", subject)
	}
	return nil
}

func (p publishCmd) await(ctx context.Context, w world, js jetstream.JetStream, cluster string, sent publish.Sent) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	kv, err := js.KeyValue(ctx, app.ReceiptsBucket)
	if err != nil {
		return fmt.Errorf("%s, but there are no receipts to wait for, does prestage run?: %w", told(sent), err)
	}
	r, err := consumer.Await(ctx, kv, consumer.ReceiptKey(cluster, sent.ID, sent.Source, sent.Stream, sent.Seq), consumer.StoredSince(sent.Since))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTimeout, fmt.Errorf("%s, not warm after %s; %s", told(sent), p.Timeout, soFar(r, cluster))}
	case err != nil:
		return err
	case r.Outcome == consumer.DeadLettered:
		_ = p.print(w, r, "")
		return fmt.Errorf("dead-lettered as %s: %s", r.Reason, r.Error)
	}
	text := fmt.Sprintf("%s (%s): %d filled, %d already warm, %d skipped, %d bytes, %.1f s after the stream had it",
		r.Outcome, r.Verdict, r.Objects.Filled, r.Objects.AlreadyWarm, r.Objects.Skipped, r.Bytes, r.EventToWarmSeconds)
	if r.Outcome == consumer.Skipped {
		text = fmt.Sprintf("skipped: %s", r.Reason)
		if !asGoodAsWarm(r.Reason) {
			_ = p.print(w, r, "")
			return errors.New(text + ", so that nothing was made warm")
		}
	}
	return p.print(w, r, text)
}

func (p publishCmd) print(w world, v any, text string) error {
	if p.Output == "json" {
		return printJSON(w.stdout, v)
	}
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(w.stdout, text)
	return err
}
