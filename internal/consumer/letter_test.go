package consumer

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

func testDelivery(header nats.Header, data []byte) *delivery {
	return &delivery{
		Stream: "EVENTS", Seq: 42, Time: time.Date(2026, 11, 20, 10, 0, 0, 123456789, time.UTC),
		Subject: "events.checkpoint.written.run-7", Header: header, Data: data,
	}
}

func TestLetterKeepsTheOriginal(t *testing.T) {
	t.Parallel()
	d := testDelivery(nats.Header{
		"ce-id":                               {"a"},
		"Multi":                               {"one", "two"},
		"Nats-Rollup":                         {"all"},
		"nats-ttl":                            {"1s"},
		"Nats-Msg-Id":                         {"m"},
		"Prestage-Reason":                     {"forged"},
		"bad name":                            {"x"},
		"Esc":                                 {"a\x1b[31mb\x00c\u0085d"},
		"Nats-Expected-Last-Subject-Sequence": {"7"},
	}, []byte("{broken"))
	m := letter(d, Receipt{Reason: outcome.Malformed, Error: "bad\r\nEvil: header", Attempts: 1}, "prestage.dlq.c.EVENTS.42", 1<<20)

	want := nats.Header{
		"ce-id":                             {"a"},
		"Multi":                             {"one", "two"},
		"Prestage-Original-Nats-Rollup":     {"all"},
		"Prestage-Original-nats-ttl":        {"1s"},
		"Prestage-Original-Nats-Msg-Id":     {"m"},
		"Prestage-Original-Prestage-Reason": {"forged"},
		"Prestage-Original-Nats-Expected-Last-Subject-Sequence": {"7"},
		"Esc":               {"a [31mb c d"},
		"Prestage-Reason":   {"malformed"},
		"Prestage-Error":    {"bad  Evil: header"},
		"Prestage-Attempts": {"1"},
		"Prestage-Stream":   {"EVENTS"},
		"Prestage-Subject":  {"events.checkpoint.written.run-7"},
		"Prestage-Sequence": {"42"},
		"Prestage-Time":     {"2026-11-20T10:00:00.123456789Z"},
	}
	if diff := cmp.Diff(want, m.Header); diff != "" {
		t.Error(diff)
	}
	if string(m.Data) != "{broken" {
		t.Errorf("payload is %q", m.Data)
	}
}

func TestLetterFits(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	big := nats.Header{}
	for i := range 100 {
		big[strings.Repeat("h", i+1)] = []string{strings.Repeat("v", 4<<10)}
	}
	tests := map[string]struct {
		header  nats.Header
		data    []byte
		omitted bool
	}{
		"small":                {nil, []byte("x"), false},
		"as large as can be":   {nil, bytes.Repeat([]byte("x"), limit), true},
		"nearly":               {nil, bytes.Repeat([]byte("x"), limit-64), true},
		"headers beyond sense": {big, []byte("x"), false},
		"both":                 {big, bytes.Repeat([]byte("x"), limit-64), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Receipt{EventID: strings.Repeat("i", 1000), Reason: outcome.FillFailed, Error: strings.Repeat("€", 10_000), Attempts: 8}
			m := letter(testDelivery(tt.header, tt.data), r, "prestage.dlq.c.EVENTS.42", limit)
			if n := headerSize(m.Header) + len(m.Data); n > limit {
				t.Errorf("letter of %d bytes, limit %d", n, limit)
			}
			if omitted := m.Header.Get(dlq.HeaderPayload) == dlq.PayloadOmitted; omitted != tt.omitted || omitted != (m.Data == nil) {
				t.Errorf("omitted is %v with %d bytes left, want %v", omitted, len(m.Data), tt.omitted)
			}
		})
	}
}

// TestLetterKeepsTheID: without its payload a letter still says whose it is, unless
// that could not be told unchanged, or finds no room.
func TestLetterKeepsTheID(t *testing.T) {
	t.Parallel()
	const limit = 8 << 10
	long := strings.Repeat("i", maxErrorHeader)
	for name, tt := range map[string]struct {
		id, source string
		omitted    bool
		want       [2]string
	}{
		"omitted":            {"run-7", "/train", true, [2]string{"run-7", "/train"}},
		"no source":          {"EVENTS/42", "", true, [2]string{"EVENTS/42", ""}},
		"it has its payload": {"run-7", "/train", false, [2]string{}},
		"as long as can be":  {long, long, true, [2]string{long, long}},
		"too long":           {long + "i", "/train", true, [2]string{"", "/train"}},
		"not to be written":  {"a\nb", " /train", true, [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := []byte("x")
			if tt.omitted {
				data = bytes.Repeat(data, limit)
			}
			m := letter(testDelivery(nil, data), Receipt{Reason: outcome.Malformed, EventID: tt.id, Source: tt.source}, "prestage.dlq.c.EVENTS.42", limit)
			if got := [2]string{m.Header.Get(dlq.HeaderID), m.Header.Get(dlq.HeaderSource)}; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	// There is no room for both.
	m := letter(testDelivery(nil, bytes.Repeat([]byte("x"), limit)), Receipt{Reason: outcome.Malformed, EventID: long, Source: long}, "prestage.dlq.c.EVENTS.42", 2200)
	if n := headerSize(m.Header); n > 2200 || m.Header.Get(dlq.HeaderID) == "" || m.Header.Get(dlq.HeaderSource) != "" {
		t.Errorf("%d bytes of headers: %v", n, m.Header)
	}
}

func TestResultFits(t *testing.T) {
	t.Parallel()
	r := Receipt{EventID: "e", Cluster: "c", Outcome: DeadLettered, Reason: outcome.NotFound}
	for range prestage.MaxFailures {
		r.Failures = append(r.Failures, prestage.Failure{URI: strings.Repeat("u", 1000), Error: strings.Repeat("e", 1000)})
	}
	const limit = 16 << 10
	m, err := result(t.Context(), testDelivery(nil, nil), r, "prestage.failed.c.EVENTS.42", time.Now(), limit)
	if err != nil {
		t.Fatal(err)
	}
	if n := headerSize(m.Header) + len(m.Data); n > limit {
		t.Errorf("result of %d bytes, limit %d", n, limit)
	}
	var ce struct {
		Type string
		Data Receipt
	}
	if err := json.Unmarshal(m.Data, &ce); err != nil {
		t.Fatal(err)
	}
	if ce.Type != TypeWarmFailed || ce.Data.EventID != "e" || len(ce.Data.Failures) == 0 {
		t.Errorf("got %s of %s with %d failures", ce.Type, ce.Data.EventID, len(ce.Data.Failures))
	}
}

func TestReceiptKey(t *testing.T) {
	t.Parallel()
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for source, hash := range map[string]string{"": empty, "/train/run-7": Hash("/train/run-7"), "a.b > *": Hash("a.b > *")} {
		got := ReceiptKey("us-east", "EVENTS/7", source, "EVENTS", 7)
		if want := "us-east." + Hash("EVENTS/7") + "." + hash + ".EVENTS.7"; got != want {
			t.Errorf("source %q: got %s, want %s", source, got, want)
		}
	}
}
