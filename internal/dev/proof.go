package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/publish"
)

// upload is a part of the sample with the event that tells of it.
type upload struct {
	title   string
	files   []file
	event   publish.Event
	subject string

	sent    time.Time
	receipt consumer.Receipt
}

// measured is what the proof found out about one object.
type measured struct {
	file
	cold, warm time.Duration // reading it whole
	toCache    time.Duration // from the event's publishing to the fill's end; 0: never
	small      bool          // the cache does not take it
}

// fillPatience bounds the waiting for fills; the whole sample takes a second.
const fillPatience = time.Minute

// prove uploads the sample, publishes its events, waits for their receipts and
// for the emulator's own truth, and prints the table.
func (s *system) prove(ctx context.Context, out io.Writer, terminal bool) error {
	uploads, err := sample()
	if err != nil {
		return err
	}
	primary, closePrimary := s.client(storeHost, s.lota.Server.PrimaryAddr())
	defer closePrimary()
	lota, closeLOTA := s.client(lotaHost, s.lota.Server.LOTAAddr())
	defer closeLOTA()
	nc, err := app.Dial(s.cfg)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	receipts, err := js.KeyValue(ctx, app.ReceiptsBucket)
	if err != nil {
		return fmt.Errorf("receipts: %w", err)
	}

	var all []*measured
	for i := range uploads {
		u := &uploads[i]
		objects, err := s.upload(ctx, primary, u.files)
		if err != nil {
			return err
		}
		all = append(all, objects...)
		m, err := publish.Message(u.event, u.subject)
		if err != nil {
			return err
		}
		u.sent = time.Now()
		sent, err := publish.Send(ctx, js, s.cfg.Stream, u.event, m)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d objects uploaded, event %s published as %s/%d\n", u.title, len(u.files), u.event.ID, sent.Stream, sent.Seq)
		if err := s.watchFills(ctx, out, terminal, u, objects); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, fillPatience)
		u.receipt, err = consumer.Await(wait, receipts, consumer.ReceiptKey(s.cfg.Cluster, sent.ID, sent.Source, sent.Stream, sent.Seq), consumer.StoredSince(sent.Since))
		cancel()
		if err != nil {
			return fmt.Errorf("no receipt for %s: %w", u.event.ID, err)
		}
	}
	for _, o := range all {
		if o.warm, err = read(ctx, lota, o.file); err != nil {
			return err
		}
	}
	if err := table(out, all, uploads); err != nil {
		return err
	}
	return verdict(all, uploads)
}

// sample is what is uploaded, with its events.
func sample() ([]upload, error) {
	model, err := sampleModel()
	if err != nil {
		return nil, err
	}
	step := int64(100)
	event := func(kind, source string, d publish.Data) publish.Event {
		return publish.Event{Type: kind, Source: source, ID: nuid.Next(), Time: time.Now().UTC(), Data: d}
	}
	return []upload{
		{
			title: "model", files: model, subject: "events.model.published.llama-sample",
			event: event(publish.ModelPublished, "/models/llama-sample", publish.Data{
				URI: "s3://" + modelBucket + "/" + modelPrefix, Model: "llama-sample", Version: "1", Complete: true,
				TotalObjects: int64(len(model)),
			}),
		},
		{
			title: "checkpoint", files: sampleCheckpoint(), subject: "events.checkpoint.written.run-7",
			event: event(publish.CheckpointWritten, "/train/run-7", publish.Data{
				URI: "s3://" + checkpointBucket + "/" + checkpointPrefix, Run: "run-7", Step: &step, Format: "dcp", Complete: true,
			}),
		},
	}, nil
}

// upload writes the files through the primary endpoint and reads each back
// from there once: that is the cold read. Through LOTA it would fill.
func (s *system) upload(ctx context.Context, c *s3.Client, files []file) ([]*measured, error) {
	var out []*measured
	for _, f := range files {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &f.bucket, Key: &f.key, Body: bytes.NewReader(f.data)})
		if err != nil {
			return nil, fmt.Errorf("upload %s: %w", f.uri(), err)
		}
		cold, err := read(ctx, c, f)
		if err != nil {
			return nil, err
		}
		out = append(out, &measured{file: f, cold: cold, small: int64(len(f.data)) <= s.cfg.MinBytes})
	}
	return out, nil
}

// read reads an object whole and times it.
func read(ctx context.Context, c *s3.Client, f file) (time.Duration, error) {
	began := time.Now()
	res, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.bucket, Key: &f.key})
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", f.uri(), err)
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || n != int64(len(f.data)) {
		return 0, fmt.Errorf("read %s: %d of %d bytes: %w", f.uri(), n, len(f.data), err)
	}
	return time.Since(began), nil
}

// client talks to one of the emulator's endpoints by its real name.
func (s *system) client(host, dial string) (c *s3.Client, closeIdle func()) {
	transport := prestage.NewTransport(8, time.Minute, dial)
	return s3.New(s3.Options{
		Region:       region,
		BaseEndpoint: aws.String("http://" + host),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:   &http.Client{Transport: transport},
	}), transport.CloseIdleConnections
}

// table prints what was measured.
func table(out io.Writer, all []*measured, uploads []upload) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nOBJECT\tSIZE\tCOLD READ\tWARM READ\tEVENT TO CACHE")
	for _, o := range all {
		state := "not filled"
		switch {
		case o.small:
			state = "too small for the cache"
		case o.toCache > 0:
			state = round(o.toCache)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", o.uri(), size(len(o.data)), round(o.cold), round(o.warm), state)
	}
	fmt.Fprintln(w, "\nEVENT\tOUTCOME\tVERDICT\tFILLED\tSKIPPED\tEVENT TO RECEIPT")
	for _, u := range uploads {
		r := u.receipt
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%d\t%d\t%.3f s\n", u.title, r.EventID, r.Outcome, r.Verdict, r.Objects.Filled, r.Objects.Skipped, r.EventToWarmSeconds)
	}
	fmt.Fprintln(w, "\nThe verdict \"accepted\": LOTA does not say when a fill is done, and so few have not shown yet whether this one does.")
	fmt.Fprintln(w, "EVENT TO CACHE comes from the emulator, which knows. A real cluster does not tell.")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// verdict is an error unless everything that the cache takes is in it.
func verdict(all []*measured, uploads []upload) error {
	var cold []string
	for _, o := range all {
		if !o.small && o.toCache == 0 {
			cold = append(cold, o.uri())
		}
	}
	if len(cold) > 0 {
		return fmt.Errorf("not in the emulator's cache: %s", strings.Join(cold, ", "))
	}
	for _, u := range uploads {
		if u.receipt.Outcome != consumer.Warm {
			return errors.New("the receipt of the " + u.title + " says " + string(u.receipt.Outcome) + ": " + u.receipt.Error)
		}
	}
	return nil
}

func round(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

func size(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
