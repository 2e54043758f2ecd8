package events_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prestage/prestage/internal/events"
)

func BenchmarkDecode(b *testing.B) {
	var list strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&list, `{"key":"run-7/step-100/__%d_0.distcp","size":734003200,"etag":"9b2cf535f27731c974343645a3985328"},`, i)
	}
	for _, bm := range []struct{ name, body string }{
		{"native", `{"uri":"s3://ckpt/run-7/step-100/","run":"run-7","step":100,"format":"dcp","complete":true}`},
		{"cloudevent", `{"specversion":"1.0","type":"ai.checkpoint.written.v1","source":"/train/run-7","id":"run-7-step-100","time":"2026-11-20T10:00:00Z","data":{"uri":"s3://ckpt/run-7/step-100/"}}`},
		{"s3", `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventTime":"2026-08-01T10:00:00.000Z","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"ckpt"},"object":{"key":"a%2Fb","size":1,"eTag":"abc","sequencer":"0055AED6DCD90281E5"}}}]}`},
		{"50k objects", `{"bucket":"ckpt","objects":[` + strings.TrimSuffix(list.String(), ",") + `]}`},
	} {
		b.Run(bm.name, func(b *testing.B) {
			m := newMessage("events.checkpoint.written", []byte(bm.body))
			b.SetBytes(int64(len(m.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := events.Decode(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
