package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/budget"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/status"
)

// hostile is what somebody may write into an event.
const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)>`

// page reads the status page, and checks what holds of every one.
func (d *daemon) page(t *testing.T, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, "http://"+d.AdminAddr()+"/"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	d.admin.server.Handler.ServeHTTP(w, req)
	body := w.Body.String()
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("status %d, %v: %s", w.Code, w.Header(), body)
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, bad := range []string{"<script", "<img", "alert(1)>", "ZgotmplZ"} {
		if strings.Contains(strings.ToLower(body), strings.ToLower(bad)) {
			t.Errorf("the page has %s:\n%s", bad, body)
		}
	}
	if outside := regexp.MustCompile(`(src|href)="?(https?:)?//`).FindString(body); outside != "" {
		t.Errorf("the page loads %s", outside)
	}
	return body
}

// TestPage has a bucket refuse and an event wait, both with names that are meant
// to break out of the page.
func TestPage(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	held := make(chan struct{})
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.Host, "refuses."):
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.Host, "slow."):
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}
	}))
	defer store.Close()
	defer close(held)
	d := start(t, "NATS_URL="+srv.URL(), "LOTA_ENDPOINT=http://lota.test", "LOTA_TRUST_ENDPOINT=true",
		"LOTA_DIAL="+store.Listener.Addr().String(), "PRESTAGE_DRAIN_TIMEOUT=0s", "PRESTAGE_CONFIRM=response")
	d.ready(t, http.StatusOK, "ok")
	js := srv.JetStream(t)
	publish := func(id string, uris ...string) {
		t.Helper()
		var objects []map[string]string
		for _, u := range uris {
			objects = append(objects, map[string]string{"uri": u})
		}
		body, err := json.Marshal(map[string]any{
			"specversion": "1.0", "type": "ai.model.published.v1", "source": "/s", "id": id, "data": map[string]any{"objects": objects},
		})
		if err == nil {
			_, err = js.Publish(t.Context(), "events.model.published", body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	receipts, err := js.KeyValue(t.Context(), ReceiptsBucket)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(budget.Account{
		Limit: 5000, Spent: []budget.Minute{{At: time.Now().Truncate(time.Minute), Bytes: 4321}}, Waits: time.Now().Add(time.Hour),
	})
	if err == nil {
		_, err = receipts.Put(t.Context(), budget.Key("default"), account)
	}
	if err != nil {
		t.Fatal(err)
	}
	publish("in hand "+hostile, "s3://slow/a")
	publish("dead "+hostile, "s3://Not_Allowed/"+hostile)
	var keys []string
	for i := range 6 {
		keys = append(keys, fmt.Sprintf("s3://refuses/%s%d", hostile, i))
	}
	publish("refused "+hostile, keys...)

	escaped := "&lt;script&gt;"
	var body string
	eventually(t, "the page tells of all three", func() bool {
		body = d.page(t, "")
		return strings.Contains(body, "in hand &#34;&gt;"+escaped) && strings.Contains(body, "holds back the bucket refuses") &&
			strings.Contains(body, "<td>malformed<td class=\"n\">1")
	})
	for _, part := range []string{"4321 of 5000 bytes filled", "routine fills wait until 20", "<td>model<td", "<td>checkpoint<td", `href="/?event=dead%20%22%3e%3cscript`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in:\n%s", part, body)
		}
	}
	if story := d.page(t, "?event="+url.QueryEscape("dead "+hostile)); !strings.Contains(story, "&#34;reason&#34;: &#34;malformed&#34;") {
		t.Errorf("the story is:\n%s", story)
	}

	// The same as JSON.
	code, text := d.get(t, http.MethodGet, "/api/status")
	var s status.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil || code != http.StatusOK || len(s.Instances) != 1 {
		t.Fatalf("status %d, %v: %s", code, err, text)
	}
	i := s.Instances[0]
	if len(i.Breakers) != 1 || i.Breakers[0].Bucket != "refuses" || i.Breakers[0].Reason != "forbidden" || i.Breakers[0].Since.IsZero() {
		t.Errorf("breakers: %+v", i.Breakers)
	}
	if len(i.Tasks) == 0 || i.Tasks[0].EventID != "in hand "+hostile || i.InFlight != 1 || i.Limit < 1 || i.Ceiling != 300 || i.Confirm.Mode != "response" {
		t.Errorf("instance: %+v", i)
	}

	// Without NATS there is still this instance.
	srv.Stop()
	eventually(t, "the page tells that NATS is away", func() bool {
		body = d.page(t, "?event=x")
		return strings.Contains(body, "nats is not reachable. What follows is this instance's alone.")
	})
	if !strings.Contains(body, "holds back the bucket refuses") {
		t.Errorf("without NATS:\n%s", body)
	}
	code, text = d.get(t, http.MethodGet, "/api/status")
	if err := json.Unmarshal([]byte(text), &s); err != nil || code != http.StatusServiceUnavailable || s.Problem == "" || len(s.Instances) != 1 {
		t.Errorf("status %d, %v: %s", code, err, text)
	}
}
