// Package publish tells prestage that a checkpoint was written or a model was
// published, so that its objects are in CoreWeave's LOTA cache before somebody
// reads them. It stores one event in a NATS JetStream stream and waits for the
// stream's acknowledgement; "prestage run" consumes it there.
//
//	nc, err := nats.Connect("nats://nats.example.com:4222")
//	js, err := jetstream.New(nc)
//	p := publish.Publisher{JS: js}
//	ack, err := p.Checkpoint(ctx, publish.Checkpoint{
//		URI: "s3://ckpt/run-7/step-100/", Run: "run-7", Step: new(int64(100)), Complete: true,
//	})
//
// Publish after the last byte is in the object store, from one process of a
// job. What the daemon would dead-letter is refused here, as ErrInvalid, before
// anything is sent.
//
// The same input is the same event, with the same id: a program that does not
// know whether its event arrived publishes it again, and the stream keeps it
// once within its window for duplicates (ten minutes where prestage made the
// stream). So a checkpoint that is written once more under the same name, as
// last.ckpt is, needs something that differs: its step, its ETag, or an ID.
//
// An error is the caller's to log and, in a training job, to live with: a cold
// cache costs time, a job that ends because of it costs more. "prestage
// reconcile" finds what never became an event.
package publish
