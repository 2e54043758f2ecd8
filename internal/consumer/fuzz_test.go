package consumer

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/outcome"
)

// FuzzLetter: whatever a message and its error hold, its letter fits the server
// and has no header with which the server would act or that is not one line.
func FuzzLetter(f *testing.F) {
	f.Add("Nats-Rollup", "all", "Ce-Id", "a", []byte("{}"), "bad\r\nNats-TTL: 1s", "events.checkpoint.written", 8<<10)
	f.Add("nats-expected-stream", "X", "Prestage-Reason", "warm", []byte{}, "\xff\xfe", "a\x00b", 4<<10)
	f.Add("", "\n", "a:b", "\u2028\u0085", make([]byte, 4096), strings.Repeat("\xff", 5000), strings.Repeat("€", 900), 4<<10)
	f.Add("Prestage-Original-Nats-TTL", strings.Repeat("v", 4000), "NATS-Msg-Id", strings.Repeat("\x80", 4000), make([]byte, 100), "", "", 5000)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, payload []byte, failure, subject string, limit int) {
		limit = 4<<10 + int(uint(limit)%(1<<20))
		d := testDelivery(nats.Header{name1: {value1, value2}, name2: {value2, value1, value1}}, payload)
		d.Subject = subject
		m := letter(d, Receipt{Reason: outcome.FillFailed, Error: failure, Attempts: 8}, letterSubject, limit)

		wire := len("NATS/1.0\r\n\r\n") + len(m.Data)
		for name, values := range m.Header {
			if len(name) >= 5 && strings.EqualFold(name[:5], "Nats-") {
				t.Errorf("header %q", name)
			}
			for _, v := range append(values, name) {
				if strings.ContainsFunc(v, unicode.IsControl) || !utf8.ValidString(v) {
					t.Errorf("header %q holds %q", name, v)
				}
			}
			for _, v := range values {
				wire += len(name) + len(": ") + len(v) + len("\r\n")
			}
		}
		if wire > limit {
			t.Errorf("letter of %d bytes, limit %d", wire, limit)
		}
		for _, name := range []string{dlq.HeaderReason, dlq.HeaderError, dlq.HeaderAttempts, dlq.HeaderStream, dlq.HeaderSubject, dlq.HeaderSequence, dlq.HeaderTime} {
			if len(m.Header[name]) != 1 {
				t.Errorf("%s is %q", name, m.Header[name])
			}
		}
		switch m.Header.Get(dlq.HeaderPayload) {
		case dlq.PayloadOmitted:
			if m.Data != nil {
				t.Error("omitted, but there")
			}
		case "":
			if string(m.Data) != string(payload) {
				t.Error("the payload has changed")
			}
		default:
			t.Errorf("%s is %q", dlq.HeaderPayload, m.Header.Get(dlq.HeaderPayload))
		}
	})
}
