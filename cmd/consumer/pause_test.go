package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestPause(t *testing.T) {
	t.Parallel()
	js, environ := stream(t)
	code, _, stderr := program(environ, "pause")
	if code != exitFailed {
		t.Errorf("without durables: exit %d", code)
	}
	oneLine(t, stderr, "the model lane has no durable prestage-default-model on EVENTS")

	for _, lane := range []string{"model", "checkpoint"} {
		if _, err := js.CreateConsumer(t.Context(), "EVENTS", jetstream.ConsumerConfig{
			Durable: "prestage-default-" + lane, AckPolicy: jetstream.AckExplicitPolicy,
		}); err != nil {
			t.Fatal(err)
		}
	}
	// paused says for how long the lanes are, in hours.
	paused := func() (out [2]int) {
		for i, lane := range []string{"model", "checkpoint"} {
			c, err := js.Consumer(t.Context(), "EVENTS", "prestage-default-"+lane)
			if err != nil {
				t.Fatal(err)
			}
			if info := c.CachedInfo(); info.Paused {
				out[i] = int(info.PauseRemaining.Round(time.Hour).Hours())
			}
		}
		return out
	}
	for _, tt := range []struct {
		args   string
		want   [2]int
		stdout string
	}{
		{"pause model --for=3h", [2]int{3, 0}, "model lane (prestage-default-model): paused until "},
		{"pause checkpoint --for=2h", [2]int{3, 2}, "prestage resume checkpoint ends it\n"},
		{"pause", [2]int{8760, 8760}, "checkpoint lane (prestage-default-checkpoint): paused until "},
		{"resume checkpoint", [2]int{8760, 0}, "checkpoint lane (prestage-default-checkpoint): running\n"},
		{"resume", [2]int{0, 0}, "model lane (prestage-default-model): running\n"},
		{"resume model", [2]int{0, 0}, "running\n"}, // is no error
	} {
		code, stdout, stderr := program(environ, strings.Fields(tt.args)...)
		if code != exitDone || stderr != "" || !strings.Contains(stdout, tt.stdout) {
			t.Errorf("%s: exit %d, %q, %q", tt.args, code, stdout, stderr)
		}
		if got := paused(); got != tt.want {
			t.Errorf("%s: paused for %v hours, want %v", tt.args, got, tt.want)
		}
	}
	_, stdout, _ := program(environ, "pause", "--output=json", "--for=1m")
	var lanes []pausedLane
	if err := json.Unmarshal([]byte(stdout), &lanes); err != nil || len(lanes) != 2 || !lanes[1].Paused || lanes[1].Until.IsZero() {
		t.Errorf("%v in %q", err, stdout)
	}
	for _, args := range []string{"pause both", "pause --for=0s", "pause --for=1d", "resume x"} {
		if code, stdout, _ := program(environ, strings.Fields(args)...); code != exitUsage || stdout != "" {
			t.Errorf("%s: exit %d, %q", args, code, stdout)
		}
	}
}
