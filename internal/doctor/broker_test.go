package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/natstest"
)

// Everything about LOTA is told although nothing of NATS can be.
func TestNATSOutOfReach(t *testing.T) {
	t.Parallel()
	gone := natstest.Start(t)
	gone.Stop()
	locked, _ := natsServer(t, true, nil)
	bare, _ := natsServer(t, false, nil)
	for name, tt := range map[string]struct {
		url  string
		want complaint
		told string // the last that is told of NATS
	}{
		"down":         {gone.URL(), complaint{Fail, "nats", "no servers available", "NATS_URL"}, "nats"},
		"not known":    {strings.Replace(locked, testSecret, "hush-other", 1), complaint{Fail, "nats", "Authorization Violation", "NATS_CREDS"}, "nats"},
		"no jetstream": {bare, complaint{Fail, "jetstream", "not enabled", "-js"}, "jetstream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := newRig(t, tt.url, nil).examine(t)
			holds(t, all, tt.want, noBucket)
			for i, f := range all {
				if f.Name == tt.told && all[i+1].Name != "region" {
					t.Errorf("after %s: %s", f, all[i+1])
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]Status{"2.15.2": OK, "2.11.0": OK, "3.0.0": OK, "2.10.29": Warn, "1.4.1": Warn, "new": Warn} {
		d := newDoctor(Options{}, func(f Finding) {
			if f.Status != want {
				t.Errorf("%s: %s", v, f)
			}
		})
		d.version(v)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	api := []string{"$SYS.REQ.USER.INFO", "$JS.API.INFO", "$JS.API.STREAM.>", "$JS.API.CONSUMER.>", "$JS.API.DIRECT.GET.>"}
	work := []string{"$JS.ACK.>", "prestage.*.default.>", "$KV.prestage_objects.>", "$KV.prestage_receipts.default.>"}
	publish := func(lists ...[]string) *server.Permissions {
		p := &server.Permissions{Publish: &server.SubjectPermission{}}
		for _, l := range lists {
			p.Publish.Allow = append(p.Publish.Allow, l...)
		}
		return p
	}
	denying := func(p *server.Permissions, subjects ...string) *server.Permissions {
		p.Publish.Deny = subjects
		return p
	}
	const add = "publish permissions"
	for name, tt := range map[string]struct {
		perms *server.Permissions
		want  []complaint
	}{
		"none are set": {nil, nil},
		"enough":       {publish(api, work), nil},
		"no acks": {publish(api, work[1:]), []complaint{
			{Fail, "permissions", "$JS.ACK.EVENTS.prestage-default-model.>", "$JS.ACK.EVENTS.prestage-default-checkpoint.>"},
		}},
		"a denied ledger": {denying(publish(api, work), "$KV.prestage_objects.>"), []complaint{
			{Fail, "permissions", `user "u" of account "APP" may not publish to $KV.prestage_objects.default.>`, add},
		}},
		"no stream to be looked at": {denying(publish(api, work), "$JS.API.STREAM.INFO.EVENTS"), []complaint{
			{Fail, "stream EVENTS", `Permissions Violation for Publish to "$JS.API.STREAM.INFO.EVENTS"`, "permit"},
			{Fail, "permissions", "$JS.API.STREAM.INFO.EVENTS", add},
		}},
		"nothing to be created": {denying(publish(api, work), "$JS.API.STREAM.CREATE.>"), []complaint{
			{Fail, "permissions", "$JS.API.STREAM.CREATE.KV_prestage_receipts", add},
		}},
		"no answers": {&server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"events.>"}}}, []complaint{
			{Warn, "clock of nats", "Permissions Violation for Subscription", "permit"},
			{Fail, "permissions", "_INBOX.", "add _INBOX.> to the user's subscribe permissions"},
		}},
		"nothing about itself": {publish(api[2:], work), []complaint{
			{Warn, "clock of nats", `"$SYS.REQ.USER.INFO"`, "$SYS.REQ.USER.INFO"},
			{Warn, "jetstream", `"$JS.API.INFO"`, "$JS.API.INFO"},
			{Warn, "permissions", "does not say", "$JS.ACK.EVENTS.prestage-default-model.>"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := natsServer(t, true, tt.perms)
			begun := time.Now()
			holds(t, newRig(t, url, nil).examine(t), append(tt.want, noBucket)...)
			if spent := time.Since(begun); spent > checkLimit {
				t.Errorf("took %s: a request that is not permitted ran into its time-out", spent)
			}
		})
	}
}

// Who may not create, but finds everything as it should be, is not asked to.
func TestNothingToCreate(t *testing.T) {
	t.Parallel()
	url, admin := natsServer(t, true, &server.Permissions{Publish: &server.SubjectPermission{
		Deny: []string{"$JS.API.STREAM.CREATE.>", "$JS.API.CONSUMER.CREATE.>"},
	}})
	provision(t, admin, nil)
	r := newRig(t, url, nil)
	holds(t, r.examine(t), noBucket)
	holds(t, r.examine(t, "PRESTAGE_ACK_WAIT=50s"),
		complaint{Fail, "permissions", "$JS.API.CONSUMER.CREATE.EVENTS.prestage-default-model", "publish permissions"}, noBucket)
}

func TestUnprovisioned(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	js := ns.JetStream(t)
	r := newRig(t, ns.URL(), nil)
	missing := func(name string) complaint {
		return complaint{Fail, name, "does not exist and PRESTAGE_PROVISION=false", "PRESTAGE_PROVISION=true"}
	}
	outputs := []complaint{
		missing("stream PRESTAGE_RESULTS"), missing("stream PRESTAGE_DLQ"), missing("kv prestage_objects"), missing("kv prestage_receipts"), noBucket,
	}
	holds(t, r.examine(t, "PRESTAGE_PROVISION=false"), append([]complaint{missing("stream EVENTS")}, outputs...)...)

	// Another stream has the subjects.
	cfg := parse(t)
	other := cfg.Setup().Events
	other.Name = "OTHER"
	if _, err := js.CreateStream(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	holds(t, r.examine(t),
		complaint{Fail, "stream EVENTS", "the subject events.model.published belongs to the stream OTHER", "PRESTAGE_STREAM=OTHER"}, noBucket)
	holds(t, r.examine(t, "PRESTAGE_STREAM=OTHER"), noBucket)
	holds(t, r.examine(t, "PRESTAGE_STREAM=OTHER", "PRESTAGE_PROVISION=false"),
		append([]complaint{missing("consumer prestage-default-model"), missing("consumer prestage-default-checkpoint")}, outputs...)...)
}

func TestStreams(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		change func(*app.Setup)
		want   []complaint
	}{
		"events live shortly": {
			func(s *app.Setup) { s.Events.MaxAge = time.Hour },
			[]complaint{{Warn, "stream EVENTS", "1h0m0s only", "--max-age 7d"}},
		},
		"a work queue": {
			func(s *app.Setup) { s.Events.Retention = jetstream.WorkQueuePolicy },
			[]complaint{{Warn, "stream EVENTS", "cannot be replayed", "retention limits"}},
		},
		"one event of a run": {
			func(s *app.Setup) { s.Events.MaxMsgsPerSubject = 1 },
			[]complaint{{Warn, "stream EVENTS", "a newer event deletes an older one", "--max-msgs-per-subject=-1"}},
		},
		"events in memory": {
			func(s *app.Setup) { s.Events.Storage = jetstream.MemoryStorage },
			[]complaint{{Warn, "stream EVENTS", "in memory", "file storage"}},
		},
		"results of another kind": {
			func(s *app.Setup) { s.Results.Subjects = []string{"prestage.warmed.>"} },
			[]complaint{{Fail, "stream PRESTAGE_RESULTS", "does not take prestage.failed.default.>", "add prestage.failed.default.>"}},
		},
		"results hold up": {
			func(s *app.Setup) { s.Results.Discard = jetstream.DiscardNew },
			[]complaint{{Warn, "stream PRESTAGE_RESULTS", "discards new", "--discard old"}},
		},
		"letters vanish": {
			func(s *app.Setup) { s.Letters.MaxMsgs, s.Letters.Discard = 10, jetstream.DiscardOld },
			[]complaint{{Warn, "stream PRESTAGE_DLQ", "discards old", "--discard new"}},
		},
		"letters age": {
			func(s *app.Setup) { s.Letters.MaxAge = day },
			[]complaint{{Warn, "stream PRESTAGE_DLQ", "after 24h0m0s", "--max-age 0s"}},
		},
		"letters for whom they interest": {
			func(s *app.Setup) {
				s.Letters.Retention, s.Letters.Discard = jetstream.InterestPolicy, jetstream.DiscardOld
			},
			[]complaint{{Warn, "stream PRESTAGE_DLQ", "retention is Interest", "retention limits"}},
		},
		"a forgetful ledger": {
			func(s *app.Setup) { s.Objects.TTL = time.Hour },
			[]complaint{{Warn, "kv prestage_objects", "PRESTAGE_DEDUPE_TTL", "nats stream edit KV_prestage_objects --max-age 24h"}},
		},
		"forgotten receipts": {
			func(s *app.Setup) { s.Receipts.TTL = time.Hour },
			[]complaint{{Warn, "kv prestage_receipts", "PRESTAGE_GIVE_UP_AFTER", "nats stream edit KV_prestage_receipts --max-age 24h"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			provision(t, ns.JetStream(t), tt.change)
			holds(t, newRig(t, ns.URL(), nil).examine(t), append(tt.want, noBucket)...)
		})
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	lanes := []string{
		"events.model.published", "events.model.published.>",
		"events.checkpoint.written", "events.checkpoint.written.>", "events.object.created", "events.object.created.>",
	}
	wider := complaint{Warn, "subjects", "events.> of the stream EVENTS is wider than the lanes", strings.Join(lanes, " ")}
	for name, tt := range map[string]struct {
		environ  []string
		subjects []string
		want     []complaint
	}{
		"exactly": {nil, lanes, nil},
		"wider":   {nil, []string{"events.>"}, []complaint{wider}},
		"both lanes miss": {nil, []string{"ml.>"}, []complaint{
			{Fail, "subjects", "no subject of PRESTAGE_MODEL_SUBJECTS is one of the stream EVENTS (ml.>)", "set PRESTAGE_MODEL_SUBJECTS"},
			{
				Fail, "subjects", "no subject of PRESTAGE_CHECKPOINT_SUBJECTS is one of the stream EVENTS (ml.>)",
				"nats stream edit EVENTS --subjects 'ml.>,events.checkpoint.written,events.checkpoint.written.>,events.object.created,events.object.created.>'",
			},
			{Warn, "subjects", "events on ml.> are stored in EVENTS and belong to no lane", "add ml.> to PRESTAGE_MODEL_SUBJECTS"},
		}},
		"a mistyped lane": {[]string{"PRESTAGE_MODEL_SUBJECTS=event.model.published"}, []string{"events.>"}, []complaint{
			{Fail, "subjects", "no subject of PRESTAGE_MODEL_SUBJECTS", "set PRESTAGE_MODEL_SUBJECTS"},
			{Warn, "subjects", "wider", ""},
		}},
		"a hole": {nil, lanes[:4], []complaint{
			{Warn, "subjects", "events.object.created events.object.created.>, which is in PRESTAGE_CHECKPOINT_SUBJECTS", "--subjects '" + strings.Join(lanes, ",") + "'"},
		}},
		"nothing below": {nil, []string{lanes[0], lanes[2], lanes[4]}, []complaint{
			{Warn, "subjects", "take all of events.model.published.>, which", "events.model.published.>'"},
			{Warn, "subjects", "take all of events.checkpoint.written.> events.object.created.>, which", "events.object.created.>'"},
		}},
		"more": {nil, append([]string{"audit.>"}, lanes...), []complaint{
			{Warn, "subjects", "events on audit.> are stored", "if it carries events"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			if _, err := ns.JetStream(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: tt.subjects}); err != nil {
				t.Fatal(err)
			}
			holds(t, newRig(t, ns.URL(), nil).examine(t, tt.environ...), append(tt.want, noBucket)...)
		})
	}
}

// The remedy that doctor gives is one that JetStream takes.
func TestSubjectsRemedy(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream(t)
	c := jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"ml.x", "events.model.published.one"}}
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	command := addSubjects(c, []string{"events.model.published", "events.model.published.>"})
	_, list, _ := strings.Cut(command, "'")
	c.Subjects = strings.Split(strings.TrimSuffix(list, "'"), ",")
	if _, err := js.UpdateStream(t.Context(), c); err != nil || len(c.Subjects) != 3 {
		t.Errorf("%s: %v", command, err)
	}
}

// A mirror has no subjects of its own to compare.
func TestMirror(t *testing.T) {
	t.Parallel()
	var all []Finding
	d := newDoctor(Options{Config: parse(t)}, func(f Finding) { all = append(all, f) })
	d.subjects(jetstream.StreamConfig{Name: "EVENTS", Mirror: &jetstream.StreamSource{Name: "HUB"}})
	if len(all) != 1 || all[0].Status != OK {
		t.Errorf("told %v", all)
	}
}

func TestConsumers(t *testing.T) {
	t.Parallel()
	const model = "consumer prestage-default-model"
	foreign := func(s *app.Setup, subjects ...string) {
		s.Consumers[0].Metadata, s.Consumers[0].FilterSubjects = nil, subjects
	}
	for name, tt := range map[string]struct {
		change func(*app.Setup)
		want   []complaint
	}{
		"our own follow": {func(s *app.Setup) { s.Consumers[0].FilterSubjects = []string{"events.model.published.old"} }, nil},
		"another's do not": {func(s *app.Setup) { foreign(s, "events.model.published.old") }, []complaint{
			{Warn, model, "takes events.model.published.old and not the configured", "nats consumer rm EVENTS prestage-default-model"},
		}},
		"one takes the other's": {func(s *app.Setup) { foreign(s) }, []complaint{
			{Warn, model, "takes everything and not the configured", "rm"},
			{Warn, "overlaps", "both take >: such events are handled twice", "rm"},
		}},
		"no acks": {func(s *app.Setup) {
			s.Consumers[0].AckPolicy, s.Consumers[0].MaxAckPending = jetstream.AckNonePolicy, 0
		}, []complaint{
			{Fail, model, "ack policy is", "nats consumer rm EVENTS prestage-default-model"},
		}},
		"the server gives up": {func(s *app.Setup) { s.Consumers[0].MaxDeliver = 5 }, []complaint{{Fail, model, "MaxDeliver is 5", "rm"}}},
		"few places":          {func(s *app.Setup) { s.Consumers[0].MaxAckPending = 1000 }, []complaint{{Warn, model, "MaxAckPending is 1000", "--max-pending=-1"}}},
		"short-lived":         {func(s *app.Setup) { s.Consumers[0].InactiveThreshold = time.Hour }, []complaint{{Warn, model, "when nobody asks it for 1h0m0s", "rm"}}},
		"a push consumer": {func(s *app.Setup) { s.Consumers[0].DeliverSubject = "x" }, []complaint{
			{Fail, model, "push consumer", "rm"},
		}},
		"paused": {
			func(s *app.Setup) {
				until := time.Now().Add(time.Hour - time.Minute)
				s.Consumers[0].PauseUntil = &until
			},
			[]complaint{{Warn, model, "is paused for another 5", "prestage resume, or nats consumer resume EVENTS prestage-default-model"}},
		},
		"another instance": {
			func(s *app.Setup) {
				other := s.Consumers[1]
				other.Durable = "prestage-west-checkpoint"
				aside := s.Consumers[1]
				aside.Durable, aside.FilterSubjects = "prestage-west-model", []string{"events.else"}
				stranger := s.Consumers[1]
				stranger.Durable = "audit"
				night := s.Consumers[1]
				night.Durable, night.Metadata = "prestage-default-replay-night", map[string]string{"prestage": "replay"}
				s.Consumers = append(s.Consumers, other, aside, stranger, night)
			},
			[]complaint{{Warn, "overlaps", "prestage-west-checkpoint, of another instance of prestage, takes events.checkpoint.written as prestage-default-checkpoint does", "PRESTAGE_CLUSTER"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			provision(t, ns.JetStream(t), tt.change)
			holds(t, newRig(t, ns.URL(), nil).examine(t), append(tt.want, noBucket)...)
		})
	}
}
