package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey    = "AKIAOFTHETEST"
	testSecret = "hush-secret"
	testRegion = "US-EAST-04A"
)

var ckpt = object.Ref{Bucket: "ckpt"}

// rig is a set-up in which all is well, for a test to spoil.
type rig struct {
	options Options
	environ []string
	limit   time.Duration
	now     func() time.Time
	sim     *lotasim.Sim
	store   *lotasim.Catalogue
}

// newRig has a LOTA with the buckets ckpt and empty, and NATS at url.
func newRig(t *testing.T, url string, change func(*lotasim.Credential)) *rig {
	t.Helper()
	who := lotasim.Credential{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if change != nil {
		change(&who)
	}
	r := &rig{limit: checkLimit, now: time.Now}
	r.store = lotasim.NewCatalogue(lotasim.CatalogueOptions{
		Credentials: []lotasim.Credential{who}, Region: testRegion, StrictRegion: true,
	})
	r.store.Put("ckpt", "run/a", 5_000_000)
	r.store.CreateBucket("empty")
	var err error
	if r.sim, err = lotasim.New(lotasim.Fast(), r.store.Backends()); err != nil {
		t.Fatal(err)
	}
	srv, err := lotasim.Listen(t.Context(), r.sim, lotasim.Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close(); r.sim.Close() })
	r.environ = []string{"NATS_URL=" + url, "LOTA_DIAL=" + srv.LOTAAddr()}
	r.options.AWS = aws.Config{
		Region: testRegion, Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""),
	}
	return r
}

// examine returns the findings. None may hold a secret, and those that are not
// fine have a remedy.
func (r *rig) examine(t *testing.T, environ ...string) []Finding {
	t.Helper()
	r.options.Config = parse(t, append(r.environ, environ...)...)
	var all []Finding
	d := newDoctor(r.options, func(f Finding) { all = append(all, f) })
	d.limit, d.now = r.limit, r.now
	d.examine(t.Context())
	for _, f := range all {
		if strings.Contains(f.String(), "hush") || strings.Contains(f.String(), testKey) {
			t.Errorf("a secret: %s", f)
		}
		if (f.Status == OK) != (f.Remedy == "") || f.Seen == "" {
			t.Errorf("half a finding: %s", f)
		}
	}
	return all
}

func parse(t *testing.T, environ ...string) app.Config {
	t.Helper()
	cfg, err := app.ParseConfig(environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// complaint is a finding that is not fine.
type complaint struct {
	status       Status
	name         string
	seen, remedy string // parts of each
}

// noBucket is the complaint of every examination without a target.
var noBucket = complaint{Warn, "bucket", "none was named", "--bucket"}

// holds checks that the complaints among all are exactly want, in this order.
func holds(t *testing.T, all []Finding, want ...complaint) {
	t.Helper()
	var got []Finding
	for _, f := range all {
		if f.Status != OK {
			got = append(got, f)
		}
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("not told: %+v", want[i])
		case i >= len(want):
			t.Errorf("too much: %s", got[i])
		case got[i].Status != want[i].status || got[i].Name != want[i].name ||
			!strings.Contains(got[i].Seen, want[i].seen) || !strings.Contains(got[i].Remedy, want[i].remedy):
			t.Errorf("told %s\nwant %+v", got[i], want[i])
		}
	}
}

// names are those of the findings.
func names(all []Finding) []string {
	var out []string
	for _, f := range all {
		out = append(out, f.Name)
	}
	return out
}

// provision makes what the daemon makes before it takes events, each part
// changed first if there is something to change.
func provision(t *testing.T, js jetstream.JetStream, change func(*app.Setup)) {
	t.Helper()
	cfg := parse(t)
	s := cfg.Setup()
	if change != nil {
		change(&s)
	}
	for _, c := range []jetstream.StreamConfig{s.Events, s.Results, s.Letters} {
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []jetstream.KeyValueConfig{s.Objects, s.Receipts} {
		if _, err := js.CreateKeyValue(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range s.Consumers {
		if _, err := js.CreateConsumer(t.Context(), s.Events.Name, c); err != nil {
			t.Fatal(err)
		}
	}
}

// natsServer is one with an account that has JetStream if that is wanted: its
// user u may do what perms say, its user admin everything.
func natsServer(t *testing.T, withJetStream bool, perms *server.Permissions) (url string, admin jetstream.JetStream) {
	t.Helper()
	account := server.NewAccount("APP")
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: withJetStream, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 1 << 30,
		Accounts: []*server.Account{account},
		Users: []*server.User{
			{Username: "u", Password: testSecret, Account: account, Permissions: perms},
			{Username: "admin", Password: testSecret, Account: account},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("nats-server is not ready")
	}
	if withJetStream {
		registered, err := s.LookupAccount("APP")
		if err != nil {
			t.Fatal(err)
		}
		if err := registered.EnableJetStream(nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	login := func(user string) string {
		return strings.Replace(s.ClientURL(), "nats://", "nats://"+user+":"+testSecret+"@", 1)
	}
	nc, err := app.Dial(parse(t, "NATS_URL="+login("admin")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if admin, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return login("u"), admin
}
