package app

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/status"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string

	page = template.Must(template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(pageCSS) }, //nolint:gosec // it is ours
		"when":  func(t time.Time) string { return t.Format(time.RFC3339) },
		"age":   func(t time.Time) string { return time.Since(t).Truncate(time.Second).String() },
	}).Parse(pageHTML))
)

// pagePolicy lets the page have its own style and nothing else: what others
// wrote into events is on it.
func pagePolicy() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// pageData is what the page shows.
type pageData struct {
	Cluster      string
	Status       *status.Status
	Tasks        []consumer.Task // of all instances
	EventID      string          // whose story was asked for
	Event        string
	EventProblem string
}

// servePage shows the status to people, and with ?event= the story of one event.
// It works without scripts.
func (a *App) servePage(w http.ResponseWriter, r *http.Request) {
	d := pageData{Cluster: a.cfg.Cluster, EventID: r.URL.Query().Get("event")}
	d.Status, _ = a.clusterStatus(r.Context()) // of an error it tells
	for _, i := range d.Status.Instances {
		d.Tasks = append(d.Tasks, i.Tasks...)
	}
	slices.SortFunc(d.Tasks, func(x, y consumer.Task) int { return x.Received.Compare(y.Received) })
	if d.EventID != "" {
		event, err := a.eventStatus(r.Context(), d.EventID)
		if err != nil {
			d.EventProblem = err.Error()
		} else if text, err := json.MarshalIndent(event, "", "  "); err == nil {
			d.Event = string(text)
		}
	}
	var body bytes.Buffer
	if err := page.Execute(&body, d); err != nil {
		a.deps.Log.LogAttrs(r.Context(), slog.LevelError, "status page not made", slog.Any("error", err))
		http.Error(w, errStatus.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(body.Bytes())
}
