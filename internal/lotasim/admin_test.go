package lotasim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *bundle) admin(t *testing.T, method, path, body string, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.server.AdminAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tag := b.cat.Put("ckpt", "run/a+b", large)
	b.warm(t, "run/a+b")

	var about map[string]any
	if b.admin(t, http.MethodGet, "/", "", &about) != 200 || about["seed"] != "1" || about["lota_domain"] != "cwlota.com" || about["cache_ttl"] != "0s" {
		t.Errorf("about: %v", about)
	}
	var truth Truth
	if _, timing := about["timing"].(map[string]any)["backend_first_byte"]; !timing {
		t.Errorf("about: %v", about)
	}
	var other Truth
	b.admin(t, http.MethodGet, "/truth?bucket=ckpt&key=run%2Fa%2Bb&version_id=other", "", &other)
	if diff := cmp.Diff(Truth{Bucket: "ckpt", Key: "run/a+b", VersionID: "other"}, other); diff != "" {
		t.Errorf("truth of another version (-want +got):\n%s", diff)
	}
	b.admin(t, http.MethodGet, "/truth?bucket=ckpt&key=run%2Fa%2Bb", "", &truth)
	if !truth.Cached || truth.ETag != tag {
		t.Errorf("truth: %+v", truth)
	}
	var objects []Truth
	b.admin(t, http.MethodGet, "/objects", "", &objects)
	if diff := cmp.Diff([]Truth{truth}, objects); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	var counters Counters
	b.admin(t, http.MethodGet, "/counters", "", &counters)
	if diff := cmp.Diff(b.sim.Counters(), counters); diff != "" || counters.FillsDone != 1 || counters.Misses != 1 {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	var history struct {
		Total    int
		Requests []Request
	}
	b.warm(t, "run/a+b")
	b.admin(t, http.MethodGet, "/history?range=bytes%3D0-0&listener=lota&method=HEAD&bucket=ckpt&prefix=run/&limit=1", "", &history)
	if history.Total != 2 || len(history.Requests) != 1 || history.Requests[0].Seq != 2 {
		t.Errorf("history: %+v", history)
	}

	var added struct{ ID int }
	status := b.admin(t, http.MethodPost, "/faults",
		`{"do":"status","status":503,"retry_after":"2","method":"HEAD","key":"run/*","ranged":true,"count":1}`, &added)
	if status != 201 || added.ID != 1 {
		t.Fatalf("add: HTTP %d, %+v", status, added)
	}
	if _, err := head(t, b.lota, "ckpt", "run/a+b", warmingRange); errorCode(err) != "ServiceUnavailable" {
		t.Errorf("with a fault: %v", err)
	}
	b.warm(t, "run/a+b")
	var rules []ruleJSON
	b.admin(t, http.MethodGet, "/faults", "", &rules)
	if len(rules) != 1 || rules[0].Applied != 1 || rules[0].RetryAfter != "2" {
		t.Errorf("rules: %+v", rules)
	}
	if got := b.admin(t, http.MethodDelete, "/faults?id=1", "", nil); got != 204 {
		t.Errorf("delete: HTTP %d", got)
	}
	if got := b.admin(t, http.MethodDelete, "/faults?id=1", "", nil); got != 404 {
		t.Errorf("delete again: HTTP %d", got)
	}

	b.admin(t, http.MethodPost, "/faults", `{"do":"hold","for":""}`, &added)
	answered := make(chan error, 1)
	go func() {
		_, err := head(t, b.lota, "ckpt", "run/a+b", warmingRange)
		answered <- err
	}()
	waitFor(t, func() bool { return b.sim.Rules()[0].Applied == 1 })
	var released struct{ Released int }
	b.admin(t, http.MethodPost, "/release", "", &released)
	if err := <-answered; err != nil || released.Released != 1 {
		t.Errorf("released %d, %v", released.Released, err)
	}
	if got := b.admin(t, http.MethodDelete, "/faults", "", nil); got != 204 || len(b.sim.Rules()) != 0 {
		t.Errorf("delete all: HTTP %d, %v left", got, b.sim.Rules())
	}

	for _, wrong := range []struct{ method, path, body, says string }{
		{http.MethodPost, "/faults", `{"do":"status"}`, "400 to 599"},
		{http.MethodPost, "/faults", `{"do":"reset","colour":"red"}`, "colour"},
		{http.MethodPost, "/faults", `{"do":"explode"}`, "want status, reset"},
		{http.MethodPost, "/faults", `{"do":"latency","for":"2"}`, "unit"},
		{http.MethodPost, "/faults", `{"do":"reset"}{"do":"reset"}`, "more than one"},
		{http.MethodPost, "/faults", `{"do":"` + strings.Repeat("x", maxRuleBytes) + `"}`, "too large"},
		{http.MethodPost, "/faults", ``, `such as {"do":"status"`},
		{http.MethodDelete, "/faults?id=x", ``, "number"},
		{http.MethodGet, "/truth?bucket=ckpt", ``, "key"},
		{http.MethodGet, "/history?limit=0", ``, "limit"},
		{http.MethodPost, "/nodes/x/lose", ``, "number"},
	} {
		var answer struct{ Error string }
		if got := b.admin(t, wrong.method, wrong.path, wrong.body, &answer); got != 400 || !strings.Contains(answer.Error, wrong.says) {
			t.Errorf("%s %s %.40s: HTTP %d, %q", wrong.method, wrong.path, wrong.body, got, answer.Error)
		}
	}
	lost := 0
	for _, node := range []string{"0", "1"} {
		var answer struct{ Lost int }
		b.admin(t, http.MethodPost, "/nodes/"+node+"/lose", "", &answer)
		lost += answer.Lost
	}
	if got := b.admin(t, http.MethodPost, "/nodes/2/lose", "", nil); got != 404 || lost != 1 {
		t.Errorf("two nodes of two lost %d of one object; a third is HTTP %d", lost, got)
	}
	if len(b.sim.Rules()) != 0 {
		t.Errorf("a wrong rule was taken: %+v", b.sim.Rules())
	}
}
