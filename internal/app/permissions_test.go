package app

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/status"
)

// listedPermissions are those that docs/records.md says are needed.
func listedPermissions(t *testing.T) *server.Permissions {
	t.Helper()
	text, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- permissions:begin -->")
	list, _, found := strings.Cut(rest, "<!-- permissions:end -->")
	publish, subscribe, both := strings.Cut(list, "subscribe:")
	if !found || !both {
		t.Fatal("docs/records.md has no list of permissions")
	}
	subjects := func(s string) *server.SubjectPermission {
		var p server.SubjectPermission
		for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(s, -1) {
			p.Allow = append(p.Allow, m[1])
		}
		return &p
	}
	p := &server.Permissions{Publish: subjects(publish), Subscribe: subjects(subscribe)}
	if strings.Contains(subscribe, "allow_responses: true") {
		p.Response = &server.ResponsePermission{MaxMsgs: server.DEFAULT_ALLOW_RESPONSE_MAX_MSGS, Expires: server.DEFAULT_ALLOW_RESPONSE_EXPIRATION}
	}
	return p
}

// TestPermissions runs the daemon as a user who may do what docs/records.md lists and
// nothing else: it makes everything, fills, dead-letters, looks for the oldest
// event, finds what an earlier delivery wrote, and answers for its status.
func TestPermissions(t *testing.T) {
	t.Parallel()
	srv := natstest.StartWith(t, natstest.Options{Users: []*server.User{
		{Username: "admin", Password: "admin"},
		{Username: "prestage", Password: "hush", Permissions: listedPermissions(t)},
	}})
	nc, err := nats.Connect(srv.URL(), nats.UserInfo("admin", "admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	environ, _ := fakeLOTA(t)
	environ = append(environ, "NATS_URL="+srv.URL(), "NATS_USER=prestage", "NATS_PASSWORD=hush")
	messages := func(stream string) func() bool {
		return func() bool {
			s, err := js.Stream(bounded(t), stream)
			return err == nil && s.CachedInfo().State.Msgs >= 2
		}
	}
	d := start(t, environ...)
	d.ready(t, http.StatusOK, "ok")
	for _, subject := range []string{"events.model.published", "events.checkpoint.written"} {
		for _, body := range []string{`{"uri":"s3://models/m/a","run":"r"}`, `{"uri":"not one"}`} {
			if _, err := js.Publish(bounded(t), subject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "two letters", messages("PRESTAGE_DLQ"))
	eventually(t, "results", messages("PRESTAGE_RESULTS"))
	if seen, err := status.Instances(bounded(t), nc, "default"); err != nil || len(seen) != 1 {
		t.Errorf("of the instances are seen: %v, %v", seen, err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	// The same events come again and their receipts are gone: the letters are
	// found. Another start finds everything made.
	for _, durable := range []string{modelLane, checkpointLane} {
		if err := js.DeleteConsumer(bounded(t), "EVENTS", durable); err != nil {
			t.Fatal(err)
		}
	}
	receipts, err := js.Stream(bounded(t), "KV_"+ReceiptsBucket)
	if err == nil {
		err = receipts.Purge(bounded(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	again := start(t, environ...)
	eventually(t, "all is settled again", func() bool {
		for _, durable := range []string{modelLane, checkpointLane} {
			c, err := js.Consumer(bounded(t), "EVENTS", durable)
			if err != nil || c.CachedInfo().AckFloor.Consumer < 2 {
				return false
			}
		}
		return true
	})
	again.ready(t, http.StatusOK, "ok")
	if err := again.stop(); err != nil {
		t.Error(err)
	}
	// An event that waits has an age.
	down := start(t, append(environ, "LOTA_DIAL=127.0.0.1:1")...)
	if _, err := js.Publish(bounded(t), "events.model.published", []byte(`{"uri":"s3://models/m/b"}`)); err != nil {
		t.Fatal(err)
	}
	age := regexp.MustCompile(`\nprestage_oldest_event_age_seconds{lane="model"} (0\.0*)?[1-9]`)
	eventually(t, "the event's age is seen", func() bool {
		_, metrics := down.get(t, http.MethodGet, "/metrics")
		return age.MatchString(metrics)
	})
	for _, log := range []*logbook{d.log, again.log, down.log} {
		for _, line := range log.lines("ermissions") {
			t.Error(line)
		}
	}
}
