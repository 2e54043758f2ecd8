package app

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/natstest"
)

// natsFiles are files as NATS settings want them, by setting.
func natsFiles(t *testing.T) map[string]string {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	ca := natstest.NewAuthority(t)
	cert, key := ca.Issue(t)
	return map[string]string{
		"NATS_CREDS": write(t, "-----BEGIN NATS USER JWT-----\neyJ0.eyJq-_.c2ln\n------END NATS USER JWT------\n\n"+
			"-----BEGIN USER NKEY SEED-----\n"+string(seed)+"\n------END USER NKEY SEED------\n"),
		"NATS_NKEY": write(t, string(seed)+"\n"),
		"NATS_CA":   ca.File, "NATS_CERT": cert, "NATS_KEY": key,
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNATSFiles(t *testing.T) {
	t.Parallel()
	files := natsFiles(t)
	want := map[string]string{
		"NATS_CREDS": "want a credentials file, which has a user's JWT and NKey seed",
		"NATS_NKEY":  "want a file with a user's NKey seed (SU...)",
		"NATS_CA":    "want a PEM file with CA certificates",
		"NATS_CERT":  "want a PEM file with the client's certificate",
		"NATS_KEY":   "want a PEM file with the client's private key",
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey := natstest.NewAuthority(t).Issue(t)
	huge := write(t, strings.Repeat("-", natsFileBytes+1))
	other := ": the file holds something else"
	tests := []struct{ name, file, why string }{
		{"NATS_NKEY", write(t, string(accountSeed)), other},
		{"NATS_CREDS", files["NATS_NKEY"], other}, // a seed without a JWT
		{"NATS_KEY", files["NATS_CERT"], other},
		{"NATS_CERT", files["NATS_KEY"], other},
	}
	for name := range want {
		tests = append(tests, []struct{ name, file, why string }{
			{name, "/no/such", ": no such file or directory"},
			{name, t.TempDir(), ": this is no regular file"},
			{name, os.DevNull, ": this is no regular file"},
			{name, write(t, "hush"), other},
			{name, write(t, ""), other},
			{name, huge, ": the file is larger than 1048576 bytes"},
		}...)
	}
	for _, tt := range tests {
		_, err := ParseConfig(with(files, tt.name, tt.file))
		refused(t, err, tt.name+`="`+tt.file+`": `+want[tt.name]+tt.why)
	}
	_, err = ParseConfig(with(files, "NATS_KEY", otherKey))
	refused(t, err, `NATS_KEY="`+otherKey+`": want the private key, not encrypted, of the certificate in NATS_CERT: the two do not belong together`)
	if _, err := ParseConfig(with(files, "", "")); err != nil {
		t.Error(err)
	}
}

// with is an environment with files, and file in place of the one of name.
func with(files map[string]string, name, file string) []string {
	var out []string
	for n, f := range files {
		if n == name {
			f = file
		}
		out = append(out, n+"="+f)
	}
	slices.Sort(out)
	return out
}

// TestTLS has servers with a certificate of an authority that only NATS_CA
// makes known, with and without one asked of the client.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := natstest.NewAuthority(t)
	cert, key := ca.Issue(t)
	pair := []string{"NATS_CERT=" + cert, "NATS_KEY=" + key}
	strangeCert, strangeKey := natstest.NewAuthority(t).Issue(t)
	plain := natstest.StartWith(t, natstest.Options{TLS: ca.Server(t, false)})
	mutual := natstest.StartWith(t, natstest.Options{TLS: ca.Server(t, true)})
	for name, tt := range map[string]struct {
		server  *natstest.Server
		environ []string
		want    string // in the error, "": it connects. A server's refusal may be heard as a broken pipe only
	}{
		"TLS":                           {plain, []string{"NATS_CA=" + ca.File}, ""},
		"TLS, own certificate not used": {plain, append(pair, "NATS_CA="+ca.File), ""},
		"no CA":                         {plain, nil, "unknown authority"},
		"another CA":                    {plain, []string{"NATS_CA=" + natstest.NewAuthority(t).File}, "unknown authority"},
		"mutual":                        {mutual, append(pair, "NATS_CA="+ca.File), ""},
		"mutual, no certificate":        {mutual, []string{"NATS_CA=" + ca.File}, "tls"},
		"mutual, a stranger's": {
			mutual, []string{"NATS_CA=" + ca.File, "NATS_CERT=" + strangeCert, "NATS_KEY=" + strangeKey}, "tls",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, scheme := range []string{"nats://", "tls://"} {
				url := strings.Replace(tt.server.URL(), "nats://", scheme, 1)
				nc, err := Dial(parse(t, append(tt.environ, "NATS_URL="+url)...))
				if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%s: got %v, want %q", scheme, err, tt.want)
				}
				if nc == nil {
					continue
				}
				if state, err := nc.TLSConnectionState(); err != nil || !state.HandshakeComplete {
					t.Errorf("%s: not encrypted: %v", scheme, err)
				}
				nc.Close()
			}
		})
	}
}

// TestRunOverTLS: the daemon works over mutual TLS; without the CA it waits and
// says why.
func TestRunOverTLS(t *testing.T) {
	t.Parallel()
	ca := natstest.NewAuthority(t)
	cert, key := ca.Issue(t)
	srv := natstest.StartWith(t, natstest.Options{TLS: ca.Server(t, true)})
	environ, _ := fakeLOTA(t)
	environ = append(environ, "NATS_URL="+srv.URL())
	d := start(t, append(environ, "NATS_CA="+ca.File, "NATS_CERT="+cert, "NATS_KEY="+key)...)
	d.ready(t, http.StatusOK, "ok")

	lost := start(t, environ...)
	eventually(t, "the log says why", func() bool {
		return len(lost.log.lines(`"level":"WARN"`, "no connection yet", "unknown authority")) == 1
	})
	begun := time.Now()
	if err := lost.stop(); err != nil || time.Since(begun) > patience/2 {
		t.Errorf("ended after %s with %v", time.Since(begun), err)
	}
}

// TestReconnectsForEver: however long NATS is gone, each replica tries on, and
// not all of them at the same moment.
func TestReconnectsForEver(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, err := connect(Config{NATSURL: []string{srv.URL()}}, "test", slog.New(slog.DiscardHandler), make(chan error, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	o := nc.Opts
	if o.MaxReconnect != -1 || !o.AllowReconnect || !o.RetryOnFailedConnect {
		t.Errorf("gives up: %d reconnects, allowed %t, at the start %t", o.MaxReconnect, o.AllowReconnect, o.RetryOnFailedConnect)
	}
	if wait := o.ReconnectWait; wait < time.Second || wait > 5*time.Second {
		t.Errorf("waits %s before it reconnects", wait)
	}
	if dead := o.PingInterval * time.Duration(o.MaxPingsOut+1); dead > 2*time.Minute {
		t.Errorf("a connection behind a partition passes for one for %s", dead)
	}
	for what, jitter := range map[string]time.Duration{"plain": o.ReconnectJitter, "TLS": o.ReconnectJitterTLS} {
		if jitter < o.ReconnectWait/4 {
			t.Errorf("%s: a jitter of %s in %s has a fleet come back at once", what, jitter, o.ReconnectWait)
		}
	}
}

// TestRunEndsWithItsCredentials: a JWT that expires, and that nobody renews, is
// for a person to mend.
func TestRunEndsWithItsCredentials(t *testing.T) {
	t.Parallel()
	o := natstest.StartOperator(t)
	creds := filepath.Join(t.TempDir(), "user.creds")
	o.WriteCreds(t, creds, 8*time.Second)
	environ, _ := fakeLOTA(t)
	a, err := New(t.Context(), parse(t, append(environ, "NATS_URL="+o.URL(), "NATS_CREDS="+creds, "PRESTAGE_HTTP_ADDR=127.0.0.1:0")...),
		Deps{Log: (&logbook{}).logger(), Registry: prometheus.NewRegistry(), AWS: identity()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	if err := within(ended); err == nil || !strings.Contains(strings.ToLower(err.Error()), "nats connection closed for good: nats: authorization") {
		t.Errorf("ended with %v", err)
	}
}
