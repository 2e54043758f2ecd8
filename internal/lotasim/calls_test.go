package lotasim

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCalls is what goes over the wire, for both listeners.
func TestCalls(t *testing.T) {
	t.Parallel()
	cat := NewCatalogue(CatalogueOptions{
		Region:      testRegion,
		Credentials: []Credential{{AccessKeyID: testKey, SecretAccessKey: testSecret}},
	})
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	tag := `"` + cat.PutAt("ckpt", "run/a+b c.bin", large, at) + `"`
	emptyTag := `"` + cat.PutAt("ckpt", "empty", 0, at) + `"`
	slashes := `"` + cat.PutAt("ckpt", "/odd//../x", 5_000_000, at) + `"`
	o := Fast()
	backend := signing(cat)
	sim, err := New(o, Backends{LOTA: backend, Primary: backend})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	server, err := Listen(t.Context(), sim, Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)

	const modified = "Fri, 20 Nov 2026 10:00:00 GMT"
	ranged := func(tag, n string) http.Header {
		return http.Header{
			"Accept-Ranges": {"bytes"}, "Content-Length": {"1"}, "Content-Range": {"bytes 0-0/" + n},
			"Content-Type": {"binary/octet-stream"}, "Etag": {tag}, "Last-Modified": {modified}, "Server": {"lotasim"},
		}
	}
	xmlHeader := http.Header{"Content-Type": {"application/xml"}}
	const pathStyle = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Error><Code>PathStyleRequestNotAllowed</Code><Message>path style requests are not allowed for this method</Message></Error>`

	tests := []struct {
		name     string
		listener string // "": both, where %D is the domain
		line     string
		host     string
		headers  string
		status   int
		header   http.Header
		body     string
	}{
		{
			name: "ranged HEAD", line: "HEAD /run/a%2Bb%20c.bin", host: "ckpt.%D", headers: "Range: bytes=0-0\r\n",
			status: 206, header: ranged(tag, "10000000"),
		},
		{
			name: "ranged HEAD in proxy form", line: "HEAD http://ckpt.%D/run/a%2Bb%20c.bin", host: "ckpt.%D", headers: "Range: bytes=0-0\r\n",
			status: 206, header: ranged(tag, "10000000"),
		},
		{
			name: "host in upper case with a port", line: "HEAD /run/a%2Bb%20c.bin", host: "CKPT.%D:80", headers: "Range: bytes=0-0\r\n",
			status: 206, header: ranged(tag, "10000000"),
		},
		{
			name: "slashes and dots in a key are no path", line: "HEAD //odd//../x", host: "ckpt.%D", headers: "Range: bytes=0-0\r\n",
			status: 206, header: ranged(slashes, "5000000"),
		},
		{
			name: "plain HEAD", line: "HEAD /run/a%2Bb%20c.bin", host: "ckpt.%D",
			status: 200, header: http.Header{
				"Accept-Ranges": {"bytes"}, "Content-Length": {"10000000"}, "Content-Type": {"binary/octet-stream"},
				"Etag": {tag}, "Last-Modified": {modified}, "Server": {"lotasim"},
			},
		},
		{
			name: "ranged HEAD of no bytes", line: "HEAD /empty", host: "ckpt.%D", headers: "Range: bytes=0-0\r\n",
			status: 416, header: http.Header{"Accept-Ranges": {"bytes"}, "Content-Length": {"0"}, "Content-Range": {"bytes */0"}, "Server": {"lotasim"}},
		},
		{
			name: "plain HEAD of no bytes", line: "HEAD /empty", host: "ckpt.%D",
			status: 200, header: http.Header{
				"Accept-Ranges": {"bytes"}, "Content-Length": {"0"}, "Content-Type": {"binary/octet-stream"},
				"Etag": {emptyTag}, "Last-Modified": {modified}, "Server": {"lotasim"},
			},
		},
		{
			name: "HEAD with a condition that fails", line: "HEAD /run/a%2Bb%20c.bin", host: "ckpt.%D",
			headers: "Range: bytes=0-0\r\nIf-Match: \"other\"\r\n",
			status:  412, header: http.Header{"Accept-Ranges": {"bytes"}, "Server": {"lotasim"}},
		},
		{
			name: "HEAD with a condition that makes it needless", line: "HEAD /run/a%2Bb%20c.bin", host: "ckpt.%D",
			headers: "If-None-Match: " + tag + "\r\n",
			status:  304, header: http.Header{"Accept-Ranges": {"bytes"}, "Etag": {tag}, "Last-Modified": {modified}, "Server": {"lotasim"}},
		},
		{
			name: "missing key", line: "HEAD /none", host: "ckpt.%D", headers: "Range: bytes=0-0\r\n",
			status: 404, header: http.Header{"Server": {"lotasim"}},
		},
		{name: "path-style HEAD", line: "HEAD /ckpt/run", host: "%D", status: 400, header: http.Header{}},
		{name: "path-style GET", line: "GET /ckpt/run", host: "%D", status: 400, header: xmlHeader, body: pathStyle},
		{name: "path-style list", line: "GET /ckpt?list-type=2", host: "%D:80", status: 400, header: xmlHeader, body: pathStyle},
		{
			name: "another domain", line: "GET /run", host: "ckpt.example.com", status: 421, header: xmlHeader,
			body: `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
				`<Error><Code>InvalidRequest</Code><Message>this listener serves &lt;bucket&gt;.%D only</Message></Error>`,
		},
		{name: "no bucket's name", line: "HEAD /run", host: "a.b.%D", status: 400, header: http.Header{}},
		{name: "tunnel", line: "CONNECT ckpt.%D:443", host: "ckpt.%D:443", status: 405, header: xmlHeader, body: `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<Error><Code>MethodNotAllowed</Code><Message>this is no tunnel: LOTA speaks plain HTTP</Message></Error>`},
		{name: "key with NUL", line: "HEAD /a%00b", host: "ckpt.%D", status: 400, header: http.Header{}},
		{name: "key too long", line: "HEAD /" + strings.Repeat("k", 1025), host: "ckpt.%D", status: 400, header: http.Header{}},
	}
	for _, side := range []struct{ name, addr, domain string }{
		{ListenerLOTA, server.LOTAAddr(), o.LOTADomain},
		{ListenerPrimary, server.PrimaryAddr(), o.PrimaryDomain},
	} {
		for _, tt := range tests {
			t.Run(side.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				named := func(s string) string { return strings.ReplaceAll(s, "%D", side.domain) }
				raw := named(tt.line) + " HTTP/1.1\r\nHost: " + named(tt.host) + "\r\n" + tt.headers + "\r\n"
				status, header, body := exchangeRaw(t, side.addr, raw, strings.Fields(tt.line)[0])
				header.Del("Date")
				if n := header.Get("Content-Length"); tt.body != "" {
					if n != strconv.Itoa(len(body)) {
						t.Errorf("Content-Length %s of %d bytes", n, len(body))
					}
					header.Del("Content-Length")
				}
				if diff := cmp.Diff(tt.status, status); diff != "" {
					t.Errorf("status (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.header, header); diff != "" {
					t.Errorf("header (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(named(tt.body), body); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// exchangeRaw sends raw and reads one answer.
func exchangeRaw(t *testing.T, addr, raw, method string) (status int, header http.Header, body string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestTLSHandshakeFails(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	d := tls.Dialer{Config: &tls.Config{ServerName: "ckpt.cwlota.com", MinVersion: tls.VersionTLS13}}
	conn, err := d.DialContext(t.Context(), "tcp", b.server.LOTAAddr())
	if err == nil {
		conn.Close()
		t.Fatal("TLS works on the LOTA listener; on a cluster it doesn't")
	}
}
