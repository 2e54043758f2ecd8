package lotasim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.cat.Put("ckpt", "k", large)
	addr := b.server.LOTAAddr()
	hold, err := b.sim.Hold(Match{Listener: ListenerLOTA})
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	go func() {
		_, err := head(t, b.lota, "ckpt", "k", warmingRange)
		cut <- err
	}()
	if err := hold.Arrived(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.server.StopLOTA()
	b.server.StopLOTA()
	if err := <-cut; err == nil {
		t.Error("the request under way was answered")
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial during the outage: %v, want refused", err)
	}
	if _, err := head(t, b.primary, "ckpt", "k", ""); err != nil {
		t.Errorf("primary during the outage: %v", err)
	}
	hold.Release()
	if err := b.server.StartLOTA(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.server.LOTAAddr() != addr {
		t.Errorf("now on %s, before on %s", b.server.LOTAAddr(), addr)
	}
	b.warm(t, "k")
}

// A held request whose body nobody reads doesn't keep the server from ending.
func TestStopWithAnUnreadBody(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	hold, err := b.sim.Hold(Match{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.server.LOTAAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PUT /k HTTP/1.1\r\nHost: ckpt.cwlota.com\r\nContent-Length: 100000\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	if err := hold.Arrived(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.server.StopLOTA()
	if r := b.sim.History(Filter{})[0]; !r.Aborted {
		t.Errorf("history has %+v, want it aborted", r)
	}
}

func TestListenTellsWhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := Fast()
	o.Seed, o.Logger = 42, logTo(&log)
	c := NewCatalogue(CatalogueOptions{})
	s, err := New(o, c.Backends())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server, err := Listen(t.Context(), s, Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"msg=lotasim seed=42",
		"msg=listening name=lota addr=" + server.LOTAAddr(),
		"msg=listening name=primary addr=" + server.PrimaryAddr(),
		"msg=listening name=admin addr=" + server.AdminAddr(),
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &log)
		}
	}
	if _, err := Listen(t.Context(), s, Addrs{Admin: server.LOTAAddr()}); err == nil {
		t.Error("two listeners on one address")
	}
	server.Close()
	server.Close()
}
