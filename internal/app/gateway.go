package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/gateway"
	"github.com/prestage/prestage/internal/tracing"
)

// Gateway is the program that takes events over HTTP.
type Gateway struct {
	cfg      Config
	log      *slog.Logger
	tracer   *tracing.Tracer
	keys     map[events.Route]*gateway.Keyring
	tls      *tls.Config // nil: plain HTTP
	subjects gateway.Subjects
	listener *listener
}

// NewGateway checks cfg, reads the secrets and binds the listener, whose port
// may be 0. Unless tracer is nil it makes a span of each request.
func NewGateway(ctx context.Context, cfg Config, log *slog.Logger, tracer *tracing.Tracer) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, log: log, tracer: tracer, keys: map[events.Route]*gateway.Keyring{}}
	var err error
	if g.subjects, err = cfg.gatewaySubjects(); err != nil {
		return nil, err
	}
	var without []events.Route
	for _, s := range cfg.gatewaySecrets() {
		k, err := gateway.NewKeyring(s.fixed, s.file, log)
		if err != nil {
			return nil, &SettingError{s.name + "_FILE", s.file, "want the path of a readable file of at most 64 KiB"}
		}
		switch {
		case !k.Given():
			without = append(without, s.routes...)
		case len(k.Secrets(ctx)) == 0:
			log.LogAttrs(ctx, slog.LevelWarn, "file of secrets is empty, its routes are closed", slog.String("file", s.file), slog.Any("routes", s.routes))
		}
		for _, r := range s.routes {
			g.keys[r] = k
		}
	}
	if cfg.GatewayTLSCert != "" {
		if g.tls, err = gateway.NewTLS(cfg.GatewayTLSCert, cfg.GatewayTLSKey, log); err != nil {
			return nil, &SettingError{"PRESTAGE_GATEWAY_TLS_CERT", cfg.GatewayTLSCert, "with PRESTAGE_GATEWAY_TLS_KEY: " + err.Error()}
		}
	}
	if g.listener, err = listen(ctx, "gateway", "PRESTAGE_GATEWAY_ADDR", cfg.GatewayAddr, gatewayGrace, log); err != nil {
		return nil, err
	}
	if len(without) > 0 {
		level := slog.LevelInfo
		if addr, ok := g.listener.listener.Addr().(*net.TCPAddr); cfg.GatewayInsecure && (!ok || !addr.IP.IsLoopback()) {
			level = slog.LevelWarn // whoever reaches it can have things warmed
		}
		log.LogAttrs(ctx, level, "routes without a secret", slog.Any("routes", without), slog.Bool("open", cfg.GatewayInsecure))
	}
	return g, nil
}

// gatewaySecrets are the secrets of some routes.
type gatewaySecrets struct {
	name   string // of the setting
	fixed  []string
	file   string
	routes []events.Route
}

func (c *Config) gatewaySecrets() []gatewaySecrets {
	return []gatewaySecrets{
		{"PRESTAGE_GATEWAY_TOKENS", reveal(c.GatewayTokens), c.GatewayTokensFile, []events.Route{events.RouteEvents, events.RouteS3, events.RouteDistribution}},
		{"PRESTAGE_GATEWAY_MLFLOW_SECRETS", reveal(c.GatewayMLflowSecrets), c.GatewayMLflowSecretsFile, []events.Route{events.RouteMLflow}},
		{"PRESTAGE_GATEWAY_WANDB_SECRETS", reveal(c.GatewayWandBSecrets), c.GatewayWandBSecretsFile, []events.Route{events.RouteWandB}},
		{"PRESTAGE_GATEWAY_HUGGINGFACE_SECRETS", reveal(c.GatewayHuggingFaceSecrets), c.GatewayHuggingFaceSecretsFile, []events.Route{events.RouteHuggingFace}},
		{"PRESTAGE_GATEWAY_HARBOR_SECRETS", reveal(c.GatewayHarborSecrets), c.GatewayHarborSecretsFile, []events.Route{events.RouteHarbor}},
	}
}

func reveal(secrets []Secret) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = string(s)
	}
	return out
}

// Addr is where the gateway really listens.
func (g *Gateway) Addr() string { return g.listener.listener.Addr().String() }

// Run takes events until ctx ends; requests under way may finish. It returns nil
// after a clean stop.
func (g *Gateway) Run(ctx context.Context) error {
	link := &gateway.Link{}
	g.listener.server = gateway.NewServer(gateway.New(gateway.Config{
		Link: link, Stream: g.cfg.Stream, Subjects: g.subjects,
		Keys: g.keys, Insecure: g.cfg.GatewayInsecure, TLS: g.tls, WholeBucket: g.cfg.Rules != "",
		Cluster: g.cfg.Cluster, Receipts: ReceiptsBucket, Tracer: g.tracer, Log: g.log,
	}))
	group, until := errgroup.WithContext(ctx)
	group.Go(g.listener.serve)
	silent := make(chan struct{}) // no request is in hand any more
	group.Go(func() error {
		defer close(silent)
		<-until.Done()
		g.listener.close(ctx)
		return nil
	})
	group.Go(func() error { return g.connect(until, link, silent) })
	return group.Wait()
}

// connect keeps link connected until it ends and all is silent.
func (g *Gateway) connect(until context.Context, link *gateway.Link, silent <-chan struct{}) error {
	closed := make(chan error, 1)
	// What cannot be sent at once is refused at once: a buffer would send it
	// after its sender was told that it is lost.
	nc, err := connectUntil(until, g.cfg, instanceName(g.cfg)+"-gateway", g.log, closed, nats.ReconnectBufSize(-1), link.Watch)
	if nc == nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("jetstream: %w", err)
	}
	link.Use(js)
	until, stop := context.WithCancel(until)
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	others.Go(func() { tellWhyNot(until, g.cfg, nc, g.log) })
	others.Go(func() { g.provision(until, js, link) })
	select {
	case <-silent:
		return nil
	case err := <-closed:
		return fmt.Errorf("nats connection closed for good: %w", suspect(err))
	}
}

// gatewayGrace is how long requests under way may take after a signal: longer
// than the gateway waits for the stream's answer.
const gatewayGrace = 10 * time.Second

// provision creates the stream when it is missing. A gateway that may not tries
// a few times and says so: events are refused until the consumer has made one.
func (g *Gateway) provision(ctx context.Context, js jetstream.JetStream, link *gateway.Link) {
	if !g.cfg.Provision {
		return
	}
	for !link.IsConnected() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
	p := &provisioner{cfg: g.cfg, js: js, clustered: js.Conn().ConnectedClusterName() != "", log: g.log}
	b := backoff.WithMaxRetries(backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond)), 5)
	err := backoff.Retry(func() error {
		try, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := p.stream(try, g.cfg.Setup().Events)
		if hopeless(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx))
	if err != nil && ctx.Err() == nil {
		g.log.LogAttrs(ctx, slog.LevelWarn, "not known whether there is a stream; it is left to the consumer",
			slog.String("stream", g.cfg.Stream), slog.Any("error", err))
	}
}

// gatewaySubjects are the lanes' first subjects that can be published to. Stores'
// notifications have one of their own where the routine lane has it.
func (c *Config) gatewaySubjects() (gateway.Subjects, error) {
	const object = "events.object.created"
	var s gateway.Subjects
	if s.Model = firstLiteral(c.ModelSubjects); s.Model == "" {
		return s, &SettingError{"PRESTAGE_MODEL_SUBJECTS", strings.Join(c.ModelSubjects, ","), wantLiteral}
	}
	if s.Checkpoint = firstLiteral(c.CheckpointSubjects); s.Checkpoint == "" {
		return s, &SettingError{"PRESTAGE_CHECKPOINT_SUBJECTS", strings.Join(c.CheckpointSubjects, ","), wantLiteral}
	}
	s.Object = s.Checkpoint
	if covered(object, filters(c.CheckpointSubjects)) {
		s.Object = object
	}
	return s, nil
}

const wantLiteral = "the gateway needs a subject without wildcards to publish to"

func firstLiteral(subjects []string) string {
	for _, s := range subjects {
		if !strings.ContainsAny(s, "*>") {
			return s
		}
	}
	return ""
}
