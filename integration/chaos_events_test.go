package integration_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// chaosEvent is one event that a producer sends, and what has to become of it.
type chaosEvent struct {
	id      string
	at      time.Duration // since the start
	subject string
	body    []byte
	objects []chaosObject
	lateBy  time.Duration // the objects are written so much after the event is published
	copies  int           // of the same event, each of which has an end of its own

	outcome string // that the contract asks for
	reason  string

	seqs []uint64 // set once the stream has it
}

// chaosObject is one that an event names.
type chaosObject struct {
	key  string
	size int64
	etag string // of the version that the event tells of
}

// planEvents draws what the producers do.
func planEvents(random *rand.Rand, form chaosForm) []*chaosEvent {
	plan := make([]*chaosEvent, form.events)
	for i := range plan {
		e := &chaosEvent{
			id: fmt.Sprintf("event-%d", i), at: form.span * time.Duration(i) / time.Duration(form.events),
			subject: checkpointSubject + fmt.Sprintf(".run-%d", i%7), copies: 1, outcome: "warm",
		}
		e.draw(random, i)
		plan[i] = e
	}
	return plan
}

// draw makes e one of the things that producers do.
func (e *chaosEvent) draw(random *rand.Rand, i int) {
	prefix := fmt.Sprintf("run-%d/step-%d/", i%7, i)
	several := func(n int) {
		for j := range n {
			e.objects = append(e.objects, chaosObject{key: fmt.Sprintf("%sshard %d+%%2B.pt", prefix, j), size: large})
		}
	}
	switch kind := random.IntN(100); {
	case kind < 40: // one object
		several(1)
		e.native(map[string]any{"uri": uri(e.objects[0].key)})
	case kind < 52: // a list
		several(2 + random.IntN(5))
		var list []map[string]any
		for _, o := range e.objects {
			list = append(list, map[string]any{"key": o.key, "size": o.size})
		}
		e.native(map[string]any{"bucket": bucket, "objects": list})
	case kind < 67: // everything below a prefix, small ones among it
		several(3 + random.IntN(6))
		e.objects = append(e.objects, chaosObject{key: prefix + "metadata.json", size: small})
		e.native(map[string]any{"uri": uri(prefix), "complete": random.IntN(2) == 0, "total_objects": len(e.objects)})
	case kind < 77: // a key that is written again and again
		e.objects = []chaosObject{{key: fmt.Sprintf("run-%d/last.ckpt", random.IntN(3)), size: large}}
		e.native(map[string]any{"uri": uri(e.objects[0].key)})
	case kind < 85: // a bucket notification
		several(1)
		e.subject, e.id = "events.object.created", ""
		e.notify(i)
	case kind < 90: // a model
		several(2)
		e.subject = modelSubject
		e.native(map[string]any{"uri": uri(prefix), "complete": true, "model": "m", "version": fmt.Sprint(i)})
	case kind < 93: // twice
		several(1)
		e.copies = 2
		e.native(map[string]any{"uri": uri(e.objects[0].key)})
	case kind < 96: // before its object is there
		several(1)
		e.lateBy = time.Duration(500+random.IntN(2500)) * time.Millisecond
		e.native(map[string]any{"uri": uri(e.objects[0].key)})
	case kind < 97:
		e.objects = []chaosObject{{key: prefix + "config.json", size: small}}
		e.outcome, e.reason = "skipped", "too_small"
		e.native(map[string]any{"bucket": bucket, "objects": []map[string]any{{"key": e.objects[0].key, "size": small}}})
	case kind < 98:
		e.outcome, e.reason = "dead_lettered", "malformed"
		e.id, e.body = "", []byte(fmt.Sprintf(`{"uri":"s3://%s/x","uri":"s3://%s/y%d"}`, bucket, bucket, i))
	case kind < 99:
		e.outcome, e.reason = "dead_lettered", "bucket_not_allowed"
		e.native(map[string]any{"uri": "s3://forbidden/" + prefix})
	default:
		e.outcome, e.reason = "dead_lettered", "not_found"
		e.native(map[string]any{"uri": uri(prefix + "never.pt")})
	}
}

// native makes e a CloudEvent.
func (e *chaosEvent) native(data map[string]any) {
	kind := "ai.checkpoint.written.v1"
	if e.subject == modelSubject {
		kind = "ai.model.published.v1"
	}
	e.body, _ = json.Marshal(map[string]any{
		"specversion": "1.0", "type": kind, "source": source, "id": e.id, "time": "2026-11-20T10:00:00Z", "data": data,
	})
}

// notify makes e a bucket notification as MinIO sends it.
func (e *chaosEvent) notify(i int) {
	key := e.objects[0].key
	e.body, _ = json.Marshal(map[string]any{
		"EventName": "s3:ObjectCreated:Put", "Key": bucket + "/" + key,
		"Records": []map[string]any{{
			"eventVersion": "2.0", "eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put",
			"s3": map[string]any{
				"bucket": map[string]any{"name": bucket},
				"object": map[string]any{"key": url.QueryEscape(key), "size": large, "sequencer": fmt.Sprintf("17F0%012X", i)},
			},
		}},
	})
}

// produce sends all events at their times, four at once.
func (c *chaos) produce() {
	began := time.Now()
	var producers sync.WaitGroup
	for n := range 4 {
		producers.Go(func() {
			for i := n; i < len(c.plan); i += 4 {
				e := c.plan[i]
				time.Sleep(time.Until(began.Add(e.at)))
				c.send(e)
			}
		})
	}
	producers.Wait()
}

func (c *chaos) send(e *chaosEvent) {
	write := func() {
		for i := range e.objects {
			o := &e.objects[i]
			o.etag = c.versions.add(o.key, func() string { return c.store.Put(bucket, o.key, o.size) })
		}
	}
	if e.lateBy == 0 {
		write()
	} else {
		c.late.Add(1)
		time.AfterFunc(e.lateBy, func() { defer c.late.Done(); write() })
	}
	for i := range e.copies {
		m := nats.NewMsg(e.subject)
		m.Data = e.body
		for end := time.Now().Add(patience); ; {
			// As a producer should: the same id until the stream confirms it.
			ack, err := c.js.PublishMsg(c.t.Context(), m, jetstream.WithMsgID(fmt.Sprintf("%s/%d/%d", e.id, e.at, i)))
			if err == nil {
				e.seqs = append(e.seqs, ack.Sequence)
				break
			}
			if time.Now().After(end) {
				c.t.Errorf("event %q was not accepted within %s: %v", e.id, patience, err)
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// versionLog is the order in which the versions of each key were written.
type versionLog struct {
	mu    sync.Mutex
	etags map[string][]string
}

func (l *versionLog) add(key string, write func() string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	etag := write()
	if l.etags == nil {
		l.etags = make(map[string][]string)
	}
	l.etags[key] = append(l.etags[key], etag)
	return etag
}

// since lists the version etag of key and those that came after it.
func (l *versionLog) since(key, etag string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.etags[key]
	return all[max(slices.Index(all, etag), 0):]
}
