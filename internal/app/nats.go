package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// connect returns a connection that reconnects for ever. Without a server it
// does not fail: what needs one waits.
func connect(c Config, name string, log *slog.Logger, closed chan<- error, more ...nats.Option) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second),
		nats.ReconnectJitter(500*time.Millisecond, 500*time.Millisecond),
		nats.Timeout(5 * time.Second),
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ConnectHandler(func(nc *nats.Conn) {
			log.Info("connected", slog.String("server", nc.ConnectedUrlRedacted()))
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("reconnected", slog.String("server", nc.ConnectedUrlRedacted()))
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected", slog.Any("error", err))
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("nats error", slog.String("subject", subject), slog.Any("error", err))
		}),
		// The client closes for good when the server refuses its credentials
		// twice in a row; that needs a person.
		nats.ClosedHandler(func(nc *nats.Conn) {
			select {
			case closed <- nc.LastError():
			default:
			}
		}),
	}
	if c.NATSCreds != "" {
		opts = append(opts, nats.UserCredentials(c.NATSCreds))
	}
	if c.NATSNKey != "" {
		nkey, err := nats.NkeyOptionFromSeed(c.NATSNKey)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY: %w", err)
		}
		opts = append(opts, nkey)
	}
	if c.NATSUser != "" {
		opts = append(opts, nats.UserInfo(c.NATSUser, string(c.NATSPassword)))
	}
	if c.NATSToken != "" {
		opts = append(opts, nats.Token(string(c.NATSToken)))
	}
	if c.NATSCA != "" {
		opts = append(opts, nats.RootCAs(c.NATSCA))
	}
	if c.NATSCert != "" {
		opts = append(opts, nats.ClientCert(c.NATSCert, c.NATSKey))
	}
	nc, err := nats.Connect(strings.Join(c.NATSURL, ","), append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return nc, nil
}

// connectUntil is connect, which may spend seconds with each server that says
// nothing, but for no longer than until lasts: then it returns neither connection
// nor error, and what is under way is closed when there is something to close.
func connectUntil(until context.Context, c Config, name string, log *slog.Logger, closed chan<- error, more ...nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	connected := make(chan result, 1)
	go func() {
		nc, err := connect(c, name, log, closed, more...)
		connected <- result{nc, err}
	}()
	select {
	case r := <-connected:
		return r.nc, r.err
	case <-until.Done():
		go func() {
			if r := <-connected; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, nil
	}
}

// tellWhyNot says why there is no connection yet: nc tries on without a word.
func tellWhyNot(ctx context.Context, c Config, nc *nats.Conn, log *slog.Logger) {
	if nc.IsConnected() {
		return
	}
	probe, err := connectUntil(ctx, c, instanceName(c), slog.New(slog.DiscardHandler), nil,
		nats.RetryOnFailedConnect(false), nats.Timeout(2*time.Second))
	switch {
	case err != nil:
		log.Warn("no connection yet, trying on", slog.Any("error", err))
	case probe != nil:
		probe.Close()
	}
}

// instanceName tells replicas apart in NATS and in logs.
func instanceName(c Config) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("prestage-%s-%s-%d", c.Cluster, host, os.Getpid())
}
