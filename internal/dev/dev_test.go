package dev

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prestage/prestage/internal/consumer"
)

// The proof ends well, and its table is about the whole sample.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Exit: true}, &out, false, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	uploads, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads {
		for _, f := range u.files {
			if !strings.Contains(out.String(), f.uri()) {
				t.Errorf("%s is not in the table", f.uri())
			}
		}
	}
	if strings.Contains(out.String(), "not filled") {
		t.Errorf("something is not filled:\n%s", &out)
	}
}

// lines is what dev prints, while it prints.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// With a tracking server's settings, what that server names is found and warmed.
func TestRunWithMLflow(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a-token" || r.URL.RequestURI() != "/api/2.0/mlflow/model-versions/get-download-uri?name=llama&version=1" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, `{"artifact_uri": "s3://`+modelBucket+`/`+strings.TrimSuffix(modelPrefix, "/")+`"}`)
	}))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	var out lines
	ended := make(chan error, 1)
	options := Options{MLflow: []string{"MLFLOW_TRACKING_URI=" + server.URL, "MLFLOW_TRACKING_TOKEN=a-token"}}
	go func() { ended <- Run(ctx, options, &out, false, slog.New(slog.DiscardHandler)) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	}()
	events := regexp.MustCompile(`http://[0-9.:]+/v1/events`)
	ask := func(method, url, body string) (status int, answer string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	var at, answer string
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(answer, `"outcome":"warm"`); time.Sleep(20 * time.Millisecond) {
		switch {
		case time.Now().After(deadline):
			t.Fatalf("waited too long; the last answer is %s, and it said:\n%s", answer, &out)
		case at != "":
			_, answer = ask(http.MethodGet, at, "")
		case events.MatchString(out.String()):
			path := events.FindString(out.String())
			status, answer := ask(http.MethodPost, path, `{"specversion":"1.0","type":"ai.model.published.v1","source":"/test","id":"llama-1","data":{"uri":"models:/llama/1"}}`)
			if status != http.StatusAccepted {
				t.Fatalf("status %d: %s", status, answer)
			}
			at = path + "?id=llama-1"
		}
	}
}

// What is not in the cache, or not warm, fails the proof.
func TestVerdict(t *testing.T) {
	t.Parallel()
	f := file{bucket: "models", key: "a", data: make([]byte, 10)}
	warm := []upload{{title: "model", receipt: consumer.Receipt{Outcome: consumer.Warm}}}
	tests := map[string]struct {
		object  measured
		uploads []upload
		want    string // in the error, "" for none
	}{
		"in the cache":  {measured{file: f, toCache: time.Second}, warm, ""},
		"too small":     {measured{file: f, small: true}, warm, ""},
		"never cached":  {measured{file: f}, warm, "s3://models/a"},
		"dead-lettered": {measured{file: f, toCache: 1}, []upload{{title: "model", receipt: consumer.Receipt{Outcome: consumer.DeadLettered}}}, "dead_lettered"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := verdict([]*measured{&tt.object}, tt.uploads)
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A loader must be able to read the sample, and it must be large enough.
func TestSampleModel(t *testing.T) {
	t.Parallel()
	files, err := sampleModel()
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		}
		WeightMap map[string]string `json:"weight_map"`
	}
	byKey := map[string][]byte{}
	total := 0
	for _, f := range files {
		byKey[f.key] = f.data
		total += len(f.data)
	}
	if err := json.Unmarshal(byKey[modelPrefix+"model.safetensors.index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if len(index.WeightMap) != modelShards {
		t.Errorf("%d tensors in the index, want %d", len(index.WeightMap), modelShards)
	}
	for tensor, name := range index.WeightMap {
		shard := byKey[modelPrefix+name]
		if len(shard) < 8 {
			t.Errorf("%s: no such shard", name)
			continue
		}
		n := binary.LittleEndian.Uint64(shard)
		var header map[string]struct {
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(shard[8:8+n], &header); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if end := header[tensor].Offsets[1]; 8+int(n)+end != len(shard) {
			t.Errorf("%s: tensor ends at %d of %d bytes", name, 8+int(n)+end, len(shard))
		}
	}
	for _, f := range sampleCheckpoint() {
		total += len(f.data)
	}
	if total < 64<<20 {
		t.Errorf("the sample has %d bytes, want at least 64 MiB", total)
	}
}
