package natstest

import (
	"bufio"
	"fmt"
	"net"
	"testing"

	"github.com/nats-io/nats.go"
)

// PublishMangled publishes a message with headers that no client can read, which
// the server takes all the same.
func PublishMangled(tb testing.TB, nc *nats.Conn, subject string) {
	tb.Helper()
	conn, err := net.Dial("tcp", nc.ConnectedAddr())
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	const header, data = "NATS/1.0\r\nno colon\r\n\r\n", "x"
	fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"no_responders\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		subject, len(header), len(header)+len(data), header, data)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == "PONG" {
			return
		}
	}
	tb.Fatal("the server ended the connection")
}
