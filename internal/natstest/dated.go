package natstest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Dated is a message with the time at which a stream is to have taken it.
type Dated struct {
	Msg  *nats.Msg
	Time time.Time
}

// CreateDated makes a stream that takes what is below subject, and holds the
// given messages, with sequences from 1. A server gives every message that is
// published its own time, but a stream that is restored from a backup lets its
// store be written: here the backup is empty. The server restarts meanwhile.
func (s *Server) CreateDated(tb testing.TB, name, subject string, msgs ...Dated) {
	tb.Helper()
	config := server.StreamConfig{Name: name, Subjects: []string{subject + ".>"}, Storage: server.FileStorage, Replicas: 1}
	stream, err := s.srv.GlobalAccount().RestoreStream(&config, emptyBackup(tb, config))
	if err != nil {
		tb.Fatalf("restore stream %s: %v", name, err)
	}
	for i, m := range msgs {
		err := stream.Store().StoreRawMsg(m.Msg.Subject, header(m.Msg), m.Msg.Data, uint64(i+1), m.Time.UnixNano(), 0, false)
		if err != nil {
			tb.Fatalf("store message %d: %v", i+1, err)
		}
	}
	s.Restart(tb) // the stream learns what its store has
}

// emptyBackup is that of a stream without messages: its configuration alone.
func emptyBackup(tb testing.TB, config server.StreamConfig) io.Reader {
	tb.Helper()
	meta, err := json.Marshal(server.FileStreamInfo{StreamConfig: config})
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	packed := s2.NewWriter(&b)
	archive := tar.NewWriter(packed)
	err = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: server.JetStreamMetaFile, Mode: 0o600, Size: int64(len(meta))})
	if err == nil {
		_, err = archive.Write(meta)
	}
	if err := errors.Join(err, archive.Close(), packed.Close()); err != nil {
		tb.Fatalf("pack a backup: %v", err)
	}
	return &b
}

// header is a message's header as it is on the wire.
func header(m *nats.Msg) []byte {
	b := bytes.NewBufferString("NATS/1.0\r\n")
	for name, values := range m.Header {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
