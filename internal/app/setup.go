package app

import (
	"log/slog"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/dlq"
	"github.com/prestage/prestage/internal/status"
)

// Setup is what the daemon needs in JetStream, each part as it is created when
// it is missing, but for replicas.
type Setup struct {
	Events, Results, Letters jetstream.StreamConfig
	Objects, Receipts        jetstream.KeyValueConfig
	Consumers                []jetstream.ConsumerConfig // on Events: the model lane's, the checkpoint lane's
}

// Setup is the one that c asks for.
func (c *Config) Setup() Setup {
	s := Setup{
		Events: jetstream.StreamConfig{
			Name: c.Stream, Description: "events for prestage",
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
			MaxAge: eventsAge, Duplicates: eventsWindow, AllowDirect: true,
		},
		Results: jetstream.StreamConfig{
			Name: consumer.ResultsStream, Description: "what became of the events", Subjects: resultSubjects,
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, MaxAge: receiptsAge, MaxBytes: resultsBytes, AllowDirect: true,
		},
		Letters: jetstream.StreamConfig{
			Name: dlq.Stream, Description: "dead letters of prestage", Subjects: letterSubjects,
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true,
		},
		Objects: dedupe.BucketConfig(c.DedupeTTL, 0),
		Receipts: jetstream.KeyValueConfig{
			Bucket: ReceiptsBucket, Description: "receipts of prestage", History: 1, TTL: receiptsAge, Storage: jetstream.FileStorage,
		},
	}
	for _, l := range c.lanes() {
		s.Events.Subjects = append(s.Events.Subjects, l.subjects...)
		s.Consumers = append(s.Consumers, jetstream.ConsumerConfig{
			Durable: c.durable(l), Description: "the " + l.name + " lane of prestage", FilterSubjects: l.subjects,
			DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.AckWait,
			MaxDeliver: -1, MaxAckPending: -1, // delayed naks keep their places: a limit would let one bucket stop the lane
			Metadata: map[string]string{ownerMetadata: l.name},
		})
	}
	return s
}

// Follows says that the durable have, which exists, is one whose subjects and
// AckWait the daemon changes to those of the configuration.
func (c *Config) Follows(have jetstream.ConsumerConfig) bool {
	_, ours := have.Metadata[ownerMetadata]
	return ours && c.Provision
}

// Filters are the subjects that a durable takes; none means all of its stream's.
func Filters(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// Covered says that every subject that pattern matches is among those that one
// of patterns matches.
func Covered(pattern string, patterns []string) bool { return covered(pattern, patterns) }

// Meet says that some subject matches both patterns.
func Meet(a, b string) bool { return meet(strings.Split(a, "."), strings.Split(b, ".")) }

// LOTAURL is the endpoint, checked to be LOTA. The error is a *SettingError.
func (c *Config) LOTAURL() (*url.URL, error) { return c.lotaURL() }

// LOTAAddr is the host:port that is dialled to see whether the endpoint u can
// be reached.
func (c *Config) LOTAAddr(u *url.URL) string {
	if c.LOTADial != "" {
		return c.LOTADial
	}
	return hostPort(u)
}

// StatusSource is where the status of c's cluster is read.
func (c *Config) StatusSource(js jetstream.JetStream) status.Source {
	s := status.Source{
		JS: js, Cluster: c.Cluster, Stream: c.Stream, Receipts: ReceiptsBucket,
		Ledger: ObjectsBucket, TTL: c.DedupeTTL, Log: slog.New(slog.DiscardHandler),
	}
	for _, l := range c.lanes() {
		s.Lanes = append(s.Lanes, status.Durable{Lane: l.name, Durable: c.durable(l)})
	}
	return s
}
