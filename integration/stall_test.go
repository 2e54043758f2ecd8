package integration_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestStalledConsumer has the server know nothing of the program's pulls, as it
// was seen to forget them (nats-server issue 5839): messages wait, slots are
// free, and nothing is delivered. The program notices, says so and goes on
// asking, without haste.
func TestStalledConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.put("last.ckpt")
	var lose atomic.Bool
	link := newSievedProxy(t, strings.TrimPrefix(w.nats.URL(), "nats://"), func(r io.Reader) io.Reader {
		return &pullLoser{from: bufio.NewReader(r), lose: &lose}
	})
	p := w.run(t, "NATS_URL=nats://"+link.addr)

	lose.Store(true)
	eventually(t, "no pull is parked at the server", func() error {
		if n := w.durable(t, checkpointDurable).NumWaiting; n > 0 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	e := w.object(t, "event", "last.ckpt")
	p.says(t, "messages wait and are not delivered, opening the consumer anew")
	if n := p.metric(t, `prestage_pull_stalls_total{lane="checkpoint"}`); n < 1 {
		t.Errorf("%v stalls counted", n)
	}
	w.staysCalm(t, p, 2*time.Second)
	if _, found := w.receipt(t, e); found {
		t.Error("the event was delivered: nothing stalled")
	}
	lose.Store(false)
	if r := w.ends(t, e, "warm"); r.Attempts != 1 {
		t.Errorf("it took %d attempts", r.Attempts)
	}
}

// pullLoser reads what a client of NATS says, and leaves out its pulls while lose
// is set.
type pullLoser struct {
	from *bufio.Reader
	lose *atomic.Bool
	out  bytes.Buffer
}

func (l *pullLoser) Read(p []byte) (int, error) {
	for l.out.Len() == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	return l.out.Read(p)
}

// next reads one operation of the protocol: a line, after which a message's has
// as many bytes as it ends with.
func (l *pullLoser) next() error {
	line, err := l.from.ReadBytes('\n')
	if err != nil {
		return err
	}
	var payload []byte
	fields := strings.Fields(string(line))
	message := len(fields) > 2 && slices.Contains([]string{"PUB", "HPUB"}, fields[0])
	if message {
		n, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			return err
		}
		payload = make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(l.from, payload); err != nil {
			return err
		}
	}
	if message && l.lose.Load() && strings.HasPrefix(fields[1], "$JS.API.CONSUMER.MSG.NEXT.") {
		return nil
	}
	l.out.Write(line)
	l.out.Write(payload)
	return nil
}
