package publish_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/publish"
)

// A training job publishes each checkpoint when its upload is done. Publishing
// it once more, because the first answer was lost, changes nothing.
func Example() {
	url, stop := startServer() // stands for nats://nats.example.com:4222
	defer stop()

	nc, err := nats.Connect(url)
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	p := publish.Publisher{JS: js}

	for range 2 {
		ack, err := p.Checkpoint(context.Background(), publish.Checkpoint{
			URI: "s3://ckpt/run-7/step-100/", Run: "run-7", Step: new(int64(100)), Format: "dcp", Complete: true,
		})
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s/%d, there before: %v\n", ack.Stream, ack.Seq, ack.Duplicate)
	}
	// Output:
	// EVENTS/1, there before: false
	// EVENTS/1, there before: true
}

// A registry names the model's files and gives the event an id of its own, for
// which a deploy job waits: prestage wait llama-3.
func ExamplePublisher_Model() {
	url, stop := startServer()
	defer stop()
	nc, err := nats.Connect(url)
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}

	p := publish.Publisher{JS: js}
	ack, err := p.Model(context.Background(), publish.Model{
		Objects: []publish.Object{
			{URI: "s3://models/llama/model-00001-of-00002.safetensors", Size: 4_976_698_672},
			{URI: "s3://models/llama/model-00002-of-00002.safetensors", Size: 4_999_802_720},
		},
		Name: "llama", Version: "3", ID: "llama-3",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(ack.Source, ack.ID)
	// Output:
	// /model/llama llama-3
}

// A training job logs what went wrong and goes on. Only an invalid event has to
// be mended by a person.
func ExamplePublisher_Checkpoint() {
	url, stop := startServer()
	defer stop()
	nc, err := nats.Connect(url)
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	p := publish.Publisher{JS: js}

	saved := func(uri string) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		switch _, err := p.Checkpoint(ctx, publish.Checkpoint{URI: uri, Run: "run-7", Complete: true}); {
		case errors.Is(err, publish.ErrInvalid):
			fmt.Println("mend the call:", err)
		case err != nil:
			fmt.Println("it will be cold:", err)
		default:
			fmt.Println("published")
		}
	}
	saved("s3://ckpt/run-7/step-100/")
	saved("/mnt/ckpt/run-7/step-100/")
	// Output:
	// published
	// mend the call: invalid event: decode: data.uri: not an object URI: want "s3://bucket/key" or "cw://bucket/key" (send a CloudEvent 1.0 with id, source, type and data; the accepted types are ai.checkpoint.written.v1 and ai.model.published.v1)
}
