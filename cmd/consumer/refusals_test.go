package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/natstest"
)

// TestRefusalIsTold: whoever may not ask is told so, where no answer comes.
func TestRefusalIsTold(t *testing.T) {
	t.Parallel()
	const subject = "$JS.API.STREAM.INFO.KV_prestage_receipts"
	srv := natstest.StartWith(t, natstest.Options{Users: []*server.User{{
		Username: "u", Password: "hush",
		Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{subject}}},
	}}})
	code, _, stderr := program([]string{"NATS_URL=" + srv.URL(), "NATS_USER=u", "NATS_PASSWORD=hush"}, "wait", "a", "--timeout=3s")
	if code != exitTimeout {
		t.Errorf("exit code %d", code)
	}
	oneLine(t, stderr, `Permissions Violation for Publish to "`+subject+`"`)
}

// TestExplain: a refusal is told of where an answer did not come, and nowhere else.
func TestExplain(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf(`%w: Permissions Violation for Publish to "a"`, nats.ErrPermissionViolation)
	late := fmt.Errorf("publish: %w", context.DeadlineExceeded)
	for name, tt := range map[string]struct {
		heard, err error
		told       bool
	}{
		"late":           {refused, late, true},
		"timed out":      {refused, &exitError{exitTimeout, errors.New("not warm")}, true},
		"something else": {refused, errors.New("no such stream"), false},
		"nothing":        {refused, nil, false},
		"not refused":    {nats.ErrSlowConsumer, late, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r refusals
			r.heard(nil, nil, tt.heard)
			got := r.explain(tt.err)
			if !errors.Is(got, tt.err) || (got != nil && strings.Contains(got.Error(), `Publish to "a"`)) != tt.told {
				t.Errorf("got %v", got)
			}
		})
	}
}
