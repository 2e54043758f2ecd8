package events_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

func FuzzNative(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/native.txtar") {
		f.Add(c.Data, c.Kind == events.KindModel)
	}
	f.Fuzz(func(t *testing.T, data []byte, model bool) {
		m := newMessage("events.checkpoint.written", data)
		if model {
			m.Kind = events.KindModel
		}
		checkInvariants(t, m)
	})
}

func FuzzCloudEventsStructured(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/cloudevents.txtar") {
		f.Add(c.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMessage("events.checkpoint.written", data)
		m.Header = map[string][]string{"Content-Type": {"application/cloudevents+json"}}
		checkInvariants(t, m)
	})
}

func FuzzCloudEventsBinary(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/cloudevents.txtar") {
		f.Add(headerText(c.Header), c.Data)
	}
	f.Fuzz(func(t *testing.T, header string, data []byte) {
		m := newMessage("events.checkpoint.written", data)
		m.Header = parseHeader(header)
		if !strings.Contains(strings.ToLower(header), "ce-specversion") {
			m.Header["ce-specversion"] = []string{"1.0"}
		}
		checkInvariants(t, m)
	})
}

func FuzzS3(f *testing.F) {
	for _, file := range []string{"testdata/s3.txtar", "testdata/minio.txtar"} {
		for _, c := range readCorpus(f, file) {
			f.Add(c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkInvariants(t, newMessage("events.object.created", data))
	})
}

func FuzzCeph(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/ceph.txtar") {
		f.Add(c.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkInvariants(t, newMessage("events.object.created", data))
	})
}

func FuzzEventBridge(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/eventbridge.txtar") {
		f.Add(c.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkInvariants(t, newMessage("events.object.created", data))
	})
}

// FuzzSNS also puts every event in an envelope: it means the same there.
func FuzzSNS(f *testing.F) {
	for _, c := range readCorpus(f, "testdata/sns.txtar") {
		f.Add(c.Data)
	}
	for _, file := range []string{"native", "ceph", "eventbridge"} {
		for _, c := range readCorpus(f, "testdata/"+file+".txtar") {
			f.Add(c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		plain := newMessage("events.object.created", data)
		checkInvariants(t, plain)
		if !utf8.Valid(data) {
			return // a JSON string cannot hold it
		}
		enclosed := newMessage("events.object.created", []byte(`{"Type":"Notification","TopicArn":"t","MessageId":"m","Message":`+quoteJSON(t, string(data))+`}`))
		checkInvariants(t, enclosed)
		want, wantErr := events.Decode(plain)
		got, err := events.Decode(enclosed)
		if (err == nil) != (wantErr == nil) {
			if !strings.Contains(errorText(err), "envelope") {
				t.Fatalf("plain: %v, enclosed: %v", wantErr, err)
			}
			return
		}
		if err != nil {
			return
		}
		if want.ID == "EVENTS/42" {
			want.ID, want.Source = "m", "t"
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("plain: %+v, enclosed: %+v", want, got)
		}
	})
}

// FuzzMLflow and the ones below also read each body as what its route is for,
// whatever it looks like.
func FuzzMLflow(f *testing.F) { fuzzRoute(f, events.RouteMLflow) }

func FuzzWandB(f *testing.F) { fuzzRoute(f, events.RouteWandB) }

func FuzzHuggingFace(f *testing.F) { fuzzRoute(f, events.RouteHuggingFace) }

func FuzzHarbor(f *testing.F) { fuzzRoute(f, events.RouteHarbor) }

func FuzzDistribution(f *testing.F) { fuzzRoute(f, events.RouteDistribution) }

func fuzzRoute(f *testing.F, route events.Route) {
	f.Helper()
	for _, c := range readCorpus(f, "testdata/"+string(route)+".txtar") {
		f.Add(c.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMessage("events.model.published", data)
		checkInvariants(t, m)
		m.Header = map[string][]string{events.HeaderRoute: {string(route)}}
		checkInvariants(t, m)
		if ev, err := events.Decode(m); err == nil && string(ev.Format) != string(route) {
			t.Errorf("read as %s", ev.Format)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, file := range []string{"native", "cloudevents", "s3", "minio", "ceph", "eventbridge", "sns", "mlflow", "wandb", "huggingface", "harbor", "distribution", "routes"} {
		for _, c := range readCorpus(f, "testdata/"+file+".txtar") {
			f.Add(c.Subject, headerText(c.Header), c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, subject, header string, data []byte) {
		m := newMessage(subject, data)
		m.Header = parseHeader(header)
		checkInvariants(t, m)
	})
}

// checkInvariants checks what Decode promises of any message.
func checkInvariants(t *testing.T, m events.Message) {
	t.Helper()
	ev, err := events.Decode(m)
	again, errAgain := events.Decode(m)
	if !reflect.DeepEqual(ev, again) || errorText(err) != errorText(errAgain) {
		t.Fatalf("decoded twice: %+v, %v and %+v, %v", ev, err, again, errAgain)
	}
	if ev.ID == "" {
		t.Error("no ID")
	}
	if ev.ID != "EVENTS/42" && ev.Source == "" {
		t.Errorf("ID %q without a source", ev.ID)
	}
	// A receipt has these times.
	if _, err := json.Marshal([]time.Time{ev.Time, ev.RewarmBefore}); err != nil {
		t.Errorf("%s, %s: %v", ev.Time, ev.RewarmBefore, err)
	}
	if err != nil {
		checkRefusal(t, outcome.As(err))
		return
	}
	checkTarget(t, ev)
}

func checkRefusal(t *testing.T, e *outcome.Error) {
	t.Helper()
	if e.Class != outcome.Permanent || e.Op != "decode" || e.Hint == "" {
		t.Errorf("class %v, op %q, hint %q; want permanent, decode and a hint", e.Class, e.Op, e.Hint)
	}
	if e.Reason != outcome.Malformed && e.Reason != outcome.Unsupported {
		t.Errorf("reason %q", e.Reason)
	}
	text := e.Error()
	if len(text) > 1024 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("error text is long or unprintable: %q", text)
	}
}

func checkTarget(t *testing.T, ev events.Event) {
	t.Helper()
	targets := 0
	if len(ev.Objects)+len(ev.Removed) > 0 {
		targets++
	}
	for _, ref := range ev.Removed {
		if err := ref.Check(); err != nil {
			t.Errorf("removed %v: %v", ref, err)
		}
	}
	if ev.Artifact.Named() {
		targets++
	} else if ev.Artifact != (events.Artifact{}) {
		t.Errorf("an artifact of no registry: %+v", ev.Artifact)
	}
	for _, ref := range []object.Ref{ev.Prefix, ev.Manifest} {
		if ref == (object.Ref{}) {
			continue
		}
		targets++
		if err := ref.Check(); err != nil {
			t.Errorf("%v: %v", ref, err)
		}
	}
	switch {
	case ev.Skip == "" && targets != 1:
		t.Errorf("%d targets, want 1: %+v", targets, ev)
	case ev.Skip != "" && (targets != 0 || ev.Skip != outcome.NotActionable || ev.Note == ""):
		t.Errorf("skipped as %q with %d targets and the note %q", ev.Skip, targets, ev.Note)
	}
	if ev.Prefix.Bucket != "" && !ev.Prefix.IsPrefix() {
		t.Errorf("prefix %v is none", ev.Prefix)
	}
	seen := map[object.Ref]bool{}
	for _, o := range ev.Objects {
		if err := o.Check(); err != nil {
			t.Errorf("%v: %v", o.Ref, err)
		}
		if o.Size != object.UnknownSize && o.Size <= 0 {
			t.Errorf("%v: size %d", o.Ref, o.Size)
		}
		if seen[o.Ref] {
			t.Errorf("%v: named twice", o.Ref)
		}
		seen[o.Ref] = true
	}
	if ev.TotalBytes < 0 || ev.TotalObjects < 0 || ev.RewarmBefore.After(stored) {
		t.Errorf("totals %d, %d, rewarm before %v", ev.TotalBytes, ev.TotalObjects, ev.RewarmBefore)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func headerText(h map[string][]string) string {
	var b strings.Builder
	for name, values := range h {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\n")
		}
	}
	return b.String()
}

func quoteJSON(t *testing.T, s string) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
