package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// wrong is a server that a producer must cope with.
type wrong struct {
	name  string
	serve func(c net.Conn) // nil: nobody listens
	says  string           // what the job's log has to say
	slow  bool             // it would go on for ever
}

// answers writes text to whoever has sent the head of a request.
func answers(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, text)
		}
	}
}

// trickles writes text byte by byte, over and over.
func trickles(text string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			for i := range len(text) {
				if _, err := c.Write([]byte{text[i]}); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
	}
}

// hangs reads and says nothing.
func hangs(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// listen serves every connection until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if serve == nil { // the near end of a connection: nobody listens there, nor can
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Close()
			_ = ln.Close()
		})
		return c.LocalAddr().String()
	}
	var mu sync.Mutex
	var conns []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

// bound is how long a job may be held. The producers' own limits are 10 and 15 s;
// what the machine is busy with comes on top.
const bound = time.Minute

// mustGoOn checks that a job went on and said why its event is not published,
// without the token.
func (d did) mustGoOn(t *testing.T, says string) {
	t.Helper()
	if d.code != 0 || !strings.HasSuffix(d.stdout, "training goes on\n") {
		t.Errorf("exit code %d, printed %q", d.code, d.stdout)
	}
	if d.took > bound {
		t.Errorf("the job was held for %s", d.took)
	}
	if !strings.Contains(d.stderr, "not published") || !strings.Contains(d.stderr, says) {
		t.Errorf("it does not say %q: %s", says, d.stderr)
	}
	if len(d.stderr) > 5_000 || strings.Contains(d.stdout+d.stderr, mark) {
		t.Errorf("it says too much: %.5000s", d.stderr)
	}
}

// bareStage is a stage without a world: nobody answers there but what the test
// brings.
func bareStage(t *testing.T, env ...string) *stage {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: this runs programs of others")
	}
	s := &stage{dir: t.TempDir()}
	s.env = append([]string{
		"PATH=" + strings.Join(programs, ":"), "HOME=" + s.dir, "PYTHONPATH=" + fakes(t), "PYTHONDONTWRITEBYTECODE=1",
		"GATEWAY_TOKEN=" + gatewayToken,
	}, env...)
	return s
}

var wrongGateways = []wrong{
	{name: "down", says: "Connection refused"},
	// Either of two clocks may say it, the socket's or the whole's.
	{name: "hanging", serve: hangs, says: "", slow: true},
	{name: "answering by the byte", serve: trickles("HTTP/1.1 100 Continue\r\n\r\n"), says: "no answer within", slow: true},
	{name: "closing", serve: func(net.Conn) {}, says: ""},
	{name: "no HTTP", serve: answers("SSH-2.0-OpenSSH_9.2\r\n\r\n"), says: "BadStatusLine"},
	{name: "another server", serve: answers("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"), says: "HTTP 200: this is no gateway's answer"},
	{
		name: "refusing", says: "HTTP 401: {\"detail\":\"it is none of this route's secrets\"}",
		serve: answers("HTTP/1.1 401 Unauthorized\r\nContent-Length: 49\r\n\r\n{\"detail\":\"it is none of this route's secrets\"}\r\n"),
	},
	{name: "always busy", serve: answers("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n"), says: "HTTP 503", slow: true},
	{name: "talking without an end", serve: func(c net.Conn) {
		answers("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")(c)
		for text := strings.Repeat("x", 1<<16); ; {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}, says: "HTTP 400"},
}

// TestPythonNeverFailsTheJob runs the module against all that can be wrong. The
// slow ones get a shorter time-out; the next test lets the page's own run out.
func TestPythonNeverFailsTheJob(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	const job = `
import logging, sys, time
from prestage_publish import publish
begun = time.monotonic()
assert publish({"uri": "s3://ckpt/run-7/step-100/", "run": "run-7"}, timeout=2.0) is False
print(f"{time.monotonic() - begun:.3f}", file=sys.stderr)
print("training goes on")
`
	for _, w := range wrongGateways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := bareStage(t, "GATEWAY_URL=http://"+listen(t, w.serve))
			s.file(t, "prestage_publish.py", example(t, pythonPage))
			s.must(t, nil, job, "python3").mustGoOn(t, w.says)
		})
	}
	for name, tt := range map[string]struct{ env, call, says string }{
		"no address":              {"GATEWAY_URL=", `{"uri": "s3://b/k"}`, "unknown url type"},
		"an address of nothing":   {"GATEWAY_URL=http://no-such-host.invalid:1", `{"uri": "s3://b/k"}`, ""},
		"a token of two lines":    {"GATEWAY_TOKEN=" + gatewayToken + "\n" + gatewayToken, `{"uri": "s3://b/k"}`, "holds more than a token"},
		"a token that is no text": {"GATEWAY_TOKEN=" + gatewayToken + "ü€", `{"uri": "s3://b/k"}`, ""},
		"data that is no JSON":    {"A=b", `{"uri": object()}`, "not JSON serializable"},
		"no data":                 {"A=b", `None`, "AttributeError"},
		"an unknown kind":         {"A=b", `{"uri": "s3://b/k"}, kind="dataset"`, "KeyError"},
		"very much data":          {"A=b", `{"uri": "s3://b/" + "k" * 10**6}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := bareStage(t, "GATEWAY_URL=http://"+listen(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
			s.file(t, "prestage_publish.py", example(t, pythonPage))
			s.must(t, []string{tt.env}, fmt.Sprintf("from prestage_publish import publish\nassert not publish(%s, timeout=2)\nprint('training goes on')", tt.call), "python3").
				mustGoOn(t, tt.says)
		})
	}
}

// TestTokenStaysWithItsGateway: a redirect does not take it elsewhere.
func TestTokenStaysWithItsGateway(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	asked := make(chan string, 10)
	other := listen(t, func(c net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			asked <- req.Header.Get("Authorization")
		}
	})
	s := bareStage(t, "GATEWAY_URL=http://"+listen(t, answers("HTTP/1.1 302 Found\r\nLocation: http://"+other+"/\r\nContent-Length: 0\r\n\r\n")))
	s.file(t, "prestage_publish.py", example(t, pythonPage))
	s.must(t, nil, "from prestage_publish import publish\npublish({'uri': 's3://b/k'})\nprint('training goes on')", "python3").mustGoOn(t, "HTTP 302")
	if len(asked) > 0 {
		t.Errorf("the other server was asked with %q", <-asked)
	}
}

// TestCallbacksNeverFailTheJob has each callback meet a gateway that hangs, with
// the time-outs that the pages have, and one that is gone.
func TestCallbacksNeverFailTheJob(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	for page, tt := range map[string]struct{ id, job string }{
		"prestage_dcp.py": {
			"docs/producers/pytorch.md#pytorch-distributed-checkpoint",
			"from prestage_dcp import save\nsave({}, 'run-7', 100)\n",
		},
		"prestage_lightning.py": {
			"docs/producers/lightning.md#lightning",
			"from lightning.pytorch.callbacks import Trainer\nfrom prestage_lightning import PublishingCheckpoint\n" +
				"Trainer([PublishingCheckpoint(dirpath='s3://ckpt/r', run='r')]).fit(1, 1)\n",
		},
		"prestage_hf.py": {
			"docs/producers/huggingface.md#hugging-face-trainer",
			"from transformers import Trainer\nfrom prestage_hf import PublishCheckpoints\n" +
				"Trainer('out', [PublishCheckpoints('r', 's3://ckpt/r')]).train(1, 1)\n",
		},
	} {
		for _, w := range wrongGateways[:2] {
			t.Run(page+" "+w.name, func(t *testing.T) {
				t.Parallel()
				s := bareStage(t, "GATEWAY_URL=http://"+listen(t, w.serve))
				s.file(t, "prestage_publish.py", example(t, pythonPage))
				s.file(t, page, example(t, tt.id))
				s.must(t, nil, tt.job+"print('training goes on')", "python3").mustGoOn(t, w.says)
			})
		}
	}
}

// TestPythonOutlastsAnOutage: NATS is gone when the event is published, and comes
// back in time.
func TestPythonOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	s := newPythonStage(t)
	s.put("run-7/step-100/__0_0.distcp")
	s.nats.Stop()
	eventually(t, "the gateway has noticed", func() error {
		resp, err := exchange(strings.TrimPrefix(s.gateway, "http://"), "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if err == nil && resp.status == http.StatusOK {
			err = fmt.Errorf("status %d", resp.status)
		}
		return err
	})
	const job = "from prestage_publish import publish\n" +
		"print(publish({'uri': 's3://ckpt/run-7/step-100/', 'run': 'run-7', 'complete': True}, id='e', timeout=%d), flush=True)\nprint('training goes on')"
	s.must(t, nil, fmt.Sprintf(job, 2), "python3").mustGoOn(t, "HTTP 503")

	done := make(chan did, 1)
	go func() { done <- s.try(t, nil, fmt.Sprintf(job, 100), "python3") }()
	time.Sleep(time.Second) // it has been refused by now; or not yet, which is as well
	s.nats.Restart(t)
	if d := <-done; d.code != 0 || !strings.HasPrefix(d.stdout, "True") || d.stderr != "" {
		t.Errorf("%+v", d)
	}
	s.mustHaveHappened(t, happening{checkpointSubject + ".run-7", "e", "/checkpoint/run-7", "s3://ckpt/run-7/step-100/", "run-7", 0, "", true})
}

// TestCurlNeverFailsTheJob pastes the page where the gateway is not as it should be.
func TestCurlNeverFailsTheJob(t *testing.T) {
	t.Parallel()
	needs(t, "curl", "timeout")
	for _, w := range wrongGateways {
		if w.name == "another server" {
			continue // curl takes every 2xx for success
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := bareStage(t, "GATEWAY_URL=http://"+listen(t, w.serve))
			s.must(t, nil, example(t, "docs/producers/curl.md#curl")+"echo 'training goes on'\n", "sh", "-eu").mustGoOn(t, "")
		})
	}
}

// TestNodeNeverFailsTheJob has NATS down, hanging, speaking something else, and
// without a stream.
func TestNodeNeverFailsTheJob(t *testing.T) {
	t.Parallel()
	s := newNodeStage(t)
	const job = `
import { publish } from "./prestage-publish.mjs";
if (await publish({ uri: "s3://ckpt/run-7/step-100/", run: "run-7" }, { timeout: 2000 })) throw new Error("published");
console.log("training goes on");
`
	for _, w := range []wrong{
		{name: "down", says: "connection refused"},
		{name: "hanging", serve: hangs, says: ""},
		{name: "by the byte", serve: trickles("INFO {\"max_payload\":1048576}      "), says: ""},
		{name: "no NATS", serve: func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, says: ""},
		{name: "hanging after its greeting", serve: func(c net.Conn) {
			_, _ = io.WriteString(c, `INFO {"server_id":"x","version":"2.12.0","proto":1,"headers":true,"jetstream":true,"max_payload":1048576}`+"\r\n")
			hangs(c)
		}, says: ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			s.must(t, []string{"NATS_URL=nats://" + listen(t, w.serve)}, job, "node", "--input-type=module").mustGoOn(t, w.says)
		})
	}
	for name, data := range map[string]string{"not to be cloned": "{ uri: () => 1 }", "nothing": "null", "circular": "(() => { const a = {}; a.a = a; return a; })()"} {
		t.Run(name, func(t *testing.T) {
			s.must(t, nil, strings.Replace(job, `{ uri: "s3://ckpt/run-7/step-100/", run: "run-7" }`, data, 1), "node", "--input-type=module").mustGoOn(t, "")
		})
	}
	t.Run("no stream", func(t *testing.T) {
		none := strings.Replace(job, `run: "run-7"`, `nothing: "run-7"`, 1) // a subject that the stream does not have
		s.file(t, "elsewhere.mjs", strings.ReplaceAll(example(t, "docs/producers/node.md#node/2"), "events.checkpoint.written", "events.nobody.takes"))
		s.must(t, nil, strings.Replace(none, "./prestage-publish.mjs", "./elsewhere.mjs", 1), "node", "--input-type=module").mustGoOn(t, "")
	})
	if len(s.happened(t)) != 0 {
		t.Error("something was published")
	}
}

// TestEpilogNeverDrainsTheNode: NATS is down, or hangs.
func TestEpilogNeverDrainsTheNode(t *testing.T) {
	t.Parallel()
	needs(t, "timeout")
	s := newStage(t)
	s.file(t, "epilog", example(t, "docs/producers/slurm.md#slurm-epilog"))
	s.slurm(t, "publish=s3://ckpt/run-7/final/")
	for name, serve := range map[string]func(net.Conn){"down": nil, "hanging": hangs} {
		d := s.must(t, []string{"SLURM_JOB_ID=42", "NATS_URL=nats://" + listen(t, serve)}, "", "./epilog")
		if text := s.logged(t); d.took > bound || !strings.Contains(text, "s3://ckpt/run-7/final/ is not published") {
			t.Errorf("%s: %s, logged %q", name, d.took, text)
		}
	}
	s.file(t, "bin/scontrol", "#!/bin/sh\nexec sleep 100\n") // a controller that does not answer
	if d := s.must(t, []string{"SLURM_JOB_ID=42"}, "", "./epilog"); d.took > bound {
		t.Errorf("it took %s", d.took)
	}
}
