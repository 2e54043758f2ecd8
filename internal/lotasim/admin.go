package lotasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxRuleBytes bounds a request to the admin API.
const maxRuleBytes = 64 << 10

// Admin is the listener of the truth, described in the package comment. Clients
// of the cache must not use it: a cluster has nothing like it.
func (s *Sim) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.about()) })
	mux.HandleFunc("GET /history", s.adminHistory)
	mux.HandleFunc("GET /truth", s.adminTruth)
	mux.HandleFunc("GET /objects", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Objects()) })
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Counters()) })
	mux.HandleFunc("GET /faults", s.adminRules)
	mux.HandleFunc("POST /faults", s.adminAddRule)
	mux.HandleFunc("DELETE /faults", s.adminRemoveRules)
	mux.HandleFunc("POST /release", s.adminRelease)
	mux.HandleFunc("POST /nodes/{node}/lose", s.adminLoseNode)
	return mux
}

// defaultHistory is how many requests GET /history lists unless asked for more.
const defaultHistory = 1000

func (s *Sim) adminHistory(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := defaultHistory
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 {
			problem(w, http.StatusBadRequest, fmt.Errorf("limit %q: must be a number above 0", q.Get("limit")))
			return
		}
		limit = n
	}
	all := s.History(Filter{
		Listener: q.Get("listener"), Method: q.Get("method"), Bucket: q.Get("bucket"),
		Key: q.Get("key"), Prefix: q.Get("prefix"), Range: q.Get("range"),
	})
	reply(w, http.StatusOK, map[string]any{"total": len(all), "requests": all[max(0, len(all)-limit):]})
}

func (s *Sim) adminTruth(w http.ResponseWriter, r *http.Request) {
	bucket, key := r.URL.Query().Get("bucket"), r.URL.Query().Get("key")
	if bucket == "" || key == "" {
		problem(w, http.StatusBadRequest, errors.New("name an object: /truth?bucket=B&key=K"))
		return
	}
	if q := r.URL.Query(); q.Has("version_id") {
		reply(w, http.StatusOK, s.TruthOf(bucket, key, q.Get("version_id")))
		return
	}
	reply(w, http.StatusOK, s.Truth(bucket, key))
}

func (s *Sim) adminLoseNode(w http.ResponseWriter, r *http.Request) {
	node, err := strconv.Atoi(r.PathValue("node"))
	if err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf("node %q: must be a number", r.PathValue("node")))
		return
	}
	lost, err := s.LoseNode(node)
	if err != nil {
		problem(w, http.StatusNotFound, err)
		return
	}
	reply(w, http.StatusOK, map[string]int{"lost": lost})
}

// ruleJSON is a Rule as the admin API spells it.
type ruleJSON struct {
	Match
	ID          int     `json:"id,omitempty"`
	Count       int     `json:"count,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	Do          Action  `json:"do"`
	For         string  `json:"for,omitempty"`
	Status      int     `json:"status,omitempty"`
	RetryAfter  string  `json:"retry_after,omitempty"`
	Applied     int     `json:"applied"`
}

func (s *Sim) adminRules(w http.ResponseWriter, _ *http.Request) {
	out := []ruleJSON{}
	for _, r := range s.Rules() {
		j := ruleJSON{
			Match: r.Match, ID: r.ID, Count: r.Count, Probability: r.Probability, Do: r.Do,
			Status: r.Status, RetryAfter: r.RetryAfter, Applied: r.Applied,
		}
		if r.For != 0 {
			j.For = r.For.String()
		}
		out = append(out, j)
	}
	reply(w, http.StatusOK, out)
}

func (s *Sim) adminAddRule(w http.ResponseWriter, r *http.Request) {
	rule, err := readRule(http.MaxBytesReader(w, r.Body, maxRuleBytes))
	if err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf("fault rule: %w", err))
		return
	}
	id, err := s.AddRule(rule)
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusCreated, map[string]int{"id": id})
}

func readRule(body io.Reader) (Rule, error) {
	var j ruleJSON
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&j); {
	case errors.Is(err, io.EOF):
		return Rule{}, errors.New(`no rule was sent: want JSON such as {"do":"status","status":503,"count":3}`)
	case err != nil:
		return Rule{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Rule{}, errors.New("more than one JSON value")
	}
	r := Rule{
		Match: j.Match, Count: j.Count, Probability: j.Probability, Do: j.Do,
		Status: j.Status, RetryAfter: j.RetryAfter,
	}
	if j.For == "" {
		return r, nil
	}
	d, err := time.ParseDuration(j.For)
	r.For = d
	return r, err
}

func (s *Sim) adminRemoveRules(w http.ResponseWriter, r *http.Request) {
	id, ok := ruleID(w, r)
	switch {
	case !ok:
	case id == 0:
		s.ClearRules()
		w.WriteHeader(http.StatusNoContent)
	case s.RemoveRule(id):
		w.WriteHeader(http.StatusNoContent)
	default:
		problem(w, http.StatusNotFound, fmt.Errorf("no fault rule %d", id))
	}
}

func (s *Sim) adminRelease(w http.ResponseWriter, r *http.Request) {
	if id, ok := ruleID(w, r); ok {
		reply(w, http.StatusOK, map[string]int{"released": s.Release(id)})
	}
}

// ruleID reads ?id=; 0 stands for all rules.
func ruleID(w http.ResponseWriter, r *http.Request) (int, bool) {
	text := r.URL.Query().Get("id")
	if text == "" {
		return 0, true
	}
	id, err := strconv.Atoi(text)
	if err != nil || id < 1 {
		problem(w, http.StatusBadRequest, fmt.Errorf("id %q: must be a number above 0", text))
		return 0, false
	}
	return id, true
}

func problem(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // a client that is gone needs no answer
}
