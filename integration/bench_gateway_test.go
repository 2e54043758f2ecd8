package integration_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	bareSubject = "bench.bare"
	mostAtOnce  = 64 // requests; fewer divide it
)

// gatewaySample is a turn: events stored a second, and percentiles in
// milliseconds from request to answer.
type gatewaySample struct {
	perSecond float64
	latencySample
}

// gatewayResult is all turns of one setting.
type gatewayResult struct {
	atOnce  int
	names   []string
	samples [][]gatewaySample
}

// benchGateway compares what takes events over HTTP and answers when the stream
// has them, atOnce requests at a time.
func benchGateway(t *testing.T, e effort, atOnce int) gatewayResult {
	t.Helper()
	w := newWorld(t, nil)
	for name, subject := range map[string]string{benchStream: "bench.>", "EVENTS": "events.>"} {
		if _, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	bare := child(t, "net/http, publish with ack", natsVariable+"="+w.nats.URL())
	gateway := w.gateway(t, plainBuild).gatewayAddr()
	var sent atomic.Int64
	clients := httpClients(t)
	turn := func(addr string) func(*testing.T) gatewaySample {
		return func(t *testing.T) gatewaySample {
			t.Helper()
			var mu sync.Mutex
			var took []time.Duration
			var workers sync.WaitGroup
			start := time.Now()
			for worker := range atOnce {
				workers.Go(func() {
					var mine []time.Duration
					for len(mine) == 0 || time.Since(start) < e.turn {
						c := clients[(worker+len(mine)*atOnce)%len(clients)] // nobody else's now
						body := fmt.Sprintf(`{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/train/run-7","id":"%d","data":{"uri":"s3://ckpt/run-7/step-100/","run":"run-7","complete":true}}`, sent.Add(1))
						began := time.Now()
						if err := store(t.Context(), c, addr, body); err != nil {
							t.Errorf("%s: %v", addr, err)
							return
						}
						mine = append(mine, time.Since(began))
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, mine...)
				})
			}
			workers.Wait()
			if t.Failed() {
				t.FailNow()
			}
			elapsed := time.Since(start)
			return gatewaySample{float64(len(took)) / elapsed.Seconds(), percentiles(took)}
		}
	}
	contenders := []contender[gatewaySample]{
		{"net/http, publish with ack", turn(bare)},
		{"prestage gateway", turn(gateway)},
	}
	result := gatewayResult{atOnce: atOnce, samples: inRounds(t, e.rounds, contenders)}
	for _, c := range contenders {
		result.names = append(result.names, c.name)
	}
	return result
}

// store sends one event, which has to be taken.
func store(ctx context.Context, c *http.Client, addr, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/events", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+gatewayToken)
	req.Header.Set("Content-Type", "application/cloudevents+json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

// httpClients have a connection each. Where the system lets them, they come from
// many addresses, as a fleet does: the gateway limits each.
func httpClients(t *testing.T) []*http.Client {
	t.Helper()
	clients := make([]*http.Client, mostAtOnce)
	for i := range clients {
		dialer := &net.Dialer{}
		from := net.IPv4(127, 0, 1, byte(1+i))
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(from.String(), "0")); err == nil {
			l.Close()
			dialer.LocalAddr = &net.TCPAddr{IP: from}
		}
		transport := &http.Transport{DialContext: dialer.DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		clients[i] = &http.Client{Transport: transport}
	}
	return clients
}

// playBarePublisher is the least that takes an event over HTTP and answers when
// the stream has it. It checks nothing, neither who sends nor what, limits
// nothing, and stores again what is sent again.
func playBarePublisher(ctx context.Context) error {
	nc, err := nats.Connect(os.Getenv(natsVariable))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			var ack *jetstream.PubAck
			if ack, err = js.Publish(r.Context(), bareSubject, body); err == nil {
				w.WriteHeader(http.StatusAccepted)
				_, err = io.WriteString(w, strconv.FormatUint(ack.Sequence, 10))
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})}
	go server.Serve(listener)
	fmt.Println(listener.Addr())
	untilTold()
	return server.Close()
}
