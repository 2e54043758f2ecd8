package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
)

// othersPermissions are those that docs/records.md lists for commands, by row.
func othersPermissions(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- others:begin -->")
	table, _, found := strings.Cut(rest, "<!-- others:end -->")
	if !found {
		t.Fatal("docs/records.md has no list of permissions for commands")
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		var row []string
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			row = append(row, m[1])
		}
		if row != nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// TestCommandsWithListedPermissions runs commands as users who may do what
// docs/records.md lists for them and nothing else.
func TestCommandsWithListedPermissions(t *testing.T) {
	t.Parallel()
	rows := othersPermissions(t)
	if len(rows) != 3 {
		t.Fatalf("%d rows of permissions: %q", len(rows), rows)
	}
	user := func(name string, rows ...[]string) *server.User {
		u := &server.User{Username: name, Password: "hush", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}
		for _, row := range rows {
			u.Permissions.Publish.Allow = append(u.Permissions.Publish.Allow, row...)
		}
		return u
	}
	srv := natstest.StartWith(t, natstest.Options{Users: []*server.User{
		{Username: "admin", Password: "hush"},
		user("producer", rows[0]), user("waiting producer", rows[0], rows[1]), user("waiter", rows[1]), user("looker", rows[2]),
	}})
	nc, err := nats.Connect(srv.URL(), nats.UserInfo("admin", "hush"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name, subject := range map[string]string{"EVENTS": "events.>", dlq.Stream: "prestage.dlq.>", "PRESTAGE_RESULTS": "prestage.warmed.>"} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, AllowDirect: true}); err != nil {
			t.Fatal(err)
		}
	}
	buckets := map[string]jetstream.KeyValue{}
	for _, name := range []string{app.ReceiptsBucket, app.ObjectsBucket} {
		if buckets[name], err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name}); err != nil {
			t.Fatal(err)
		}
	}
	receipt, err := json.Marshal(consumer.Receipt{EventID: "b", Stream: "EVENTS", StreamSeq: 2, StreamTime: time.Now(), Outcome: consumer.Warm, Verdict: outcome.Accepted})
	if err == nil {
		_, err = buckets[app.ReceiptsBucket].Put(t.Context(), consumer.ReceiptKey("default", "b", "/s", "EVENTS", 2), receipt)
	}
	if err == nil {
		_, err = js.Publish(t.Context(), dlq.Subject("default", "EVENTS", 9), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ user, command, says string }{
		{"producer", "publish s3://ckpt/a --run r --id a --source /s", "stored a as EVENTS/1"},
		{"waiting producer", "publish s3://ckpt/a --run r --id b --source /s --wait --timeout 20s", "warm (accepted)"},
		{"waiter", "wait b --timeout 20s", "b: warm (accepted)"},
		{"looker", "status", "letters    1"},
		{"looker", "status b", "EVENTS/2 warm (accepted)"},
		{"looker", "dlq ls", "PRESTAGE_DLQ/1"},
		{"looker", "dlq show PRESTAGE_DLQ/1", "PRESTAGE_DLQ/1"},
	} {
		environ := []string{"NATS_URL=" + srv.URL(), "NATS_USER=" + tt.user, "NATS_PASSWORD=hush"}
		code, stdout, stderr := program(environ, strings.Fields(tt.command)...)
		if code != exitDone || !strings.Contains(stdout, tt.says) || stderr != "" {
			t.Errorf("%s, %s: exit code %d, %q, %q", tt.user, tt.command, code, stdout, stderr)
		}
	}
}
