package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/prestage"
)

// What a benchmark measures against runs in processes of its own, which are this
// test binary in another part: their work is not the contender's.
const (
	partVariable = "INTEGRATION_PART"
	natsVariable = "INTEGRATION_NATS"
	dialVariable = "INTEGRATION_DIAL"
)

// parts are played until standard input ends. Each prints one line when it is
// ready.
var parts = map[string]func(ctx context.Context) error{
	"net/http":                playBareServer,
	"lotasim":                 playLOTASim,
	"nats.go subscriber":      playSubscriber,
	"nats.go pull, DoubleAck": playPuller,

	"net/http, publish with ack": playBarePublisher,
}

// play is the whole life of a child.
func play(part string) int {
	if err := parts[part](context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, part, err)
		return 1
	}
	return 0
}

// untilTold returns when the parent closes standard input, or is gone.
func untilTold() { _, _ = io.Copy(io.Discard, os.Stdin) }

// child starts a part, to be ended with the test, and returns its line.
func child(t *testing.T, part string, environ ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{partVariable + "=" + part}, environ...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child %q: %v", part, err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("child %q: %v", part, err)
	}
	return strings.TrimSpace(line)
}

// playBareServer answers every HEAD as LOTA would, and knows nothing.
func playBareServer(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(answerRanged), ReadHeaderTimeout: time.Minute}
	go server.Serve(listener)
	fmt.Println(listener.Addr())
	untilTold()
	return server.Close()
}

func answerRanged(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Length", "1")
	h.Set("Content-Range", "bytes 0-0/734003200")
	h.Set("ETag", `"9b2cf535f27731c974343645a3985328-5"`)
	h.Set("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
	w.WriteHeader(http.StatusPartialContent)
}

func playLOTASim(ctx context.Context) error {
	store := lotasim.NewCatalogue(lotasim.CatalogueOptions{
		Region:      region,
		Credentials: []lotasim.Credential{{AccessKeyID: accessKey, SecretAccessKey: secretKey}},
	})
	for _, o := range benchObjects() {
		store.Put(o.Bucket, o.Key, large)
	}
	o := lotasim.Fast()
	o.NodeBytes, o.HistoryLimit = 1<<50, 1000
	sim, err := lotasim.New(o, store.Backends())
	if err != nil {
		return err
	}
	defer sim.Close()
	server, err := lotasim.Listen(ctx, sim, lotasim.Addrs{})
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Println(server.LOTAAddr())
	untilTold()
	return nil
}

// playSubscriber is the least that turns a message into a HEAD. It promises
// nothing: what comes while it is away, or fails, is lost.
func playSubscriber(ctx context.Context) error {
	nc, err := nats.Connect(os.Getenv(natsVariable))
	if err != nil {
		return err
	}
	defer nc.Close()
	ask := byHand()
	if _, err := nc.Subscribe(subscriberSubject, func(m *nats.Msg) { _ = ask(ctx, m.Data) }); err != nil {
		return err
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	fmt.Println("ready")
	untilTold()
	return nil
}

// playPuller is the same with JetStream's promise: at least once. It keeps no
// record of what it did.
func playPuller(ctx context.Context) error {
	nc, err := nats.Connect(os.Getenv(natsVariable))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := js.CreateConsumer(ctx, benchStream, jetstream.ConsumerConfig{FilterSubject: pullerSubject, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	ask := byHand()
	consuming, err := c.Consume(func(m jetstream.Msg) {
		if ask(ctx, m.Data()) == nil {
			_ = m.DoubleAck(ctx)
		}
	})
	if err != nil {
		return err
	}
	defer consuming.Stop()
	fmt.Println("ready")
	untilTold()
	return nil
}

// byHand returns a function that sends the ranged HEAD that an event asks for.
func byHand() func(context.Context, []byte) error {
	transport := prestage.NewTransport(8, time.Minute, os.Getenv(dialVariable))
	return func(ctx context.Context, event []byte) error {
		var data struct{ URI string }
		if err := json.Unmarshal(event, &data); err != nil {
			return err
		}
		host, key, _ := strings.Cut(strings.TrimPrefix(data.URI, "s3://"), "/")
		r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+host+".cwlota.com/"+key, nil)
		if err != nil {
			return err
		}
		r.Header.Set("Range", "bytes=0-0")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}
