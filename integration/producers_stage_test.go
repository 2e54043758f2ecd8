package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fakes is the folder of the frameworks that cannot be had here.
func fakes(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/fakes")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newNodeStage is a stage with the module of the page and what it imports, from
// the registry.
func newNodeStage(t *testing.T) *stage {
	t.Helper()
	needs(t, "node", "npm")
	s := newStage(t)
	s.file(t, "package.json", "{}")
	if d := s.try(t, nil, example(t, nodePage), "sh", "-eu"); d.code != 0 {
		t.Skipf("npm cannot install what the page names: %s", d.stderr)
	}
	s.file(t, "prestage-publish.mjs", example(t, "docs/producers/node.md#node/2"))
	return s
}

// slurm stands for Slurm's scontrol, with a job of that comment, and for logger.
func (s *stage) slurm(t *testing.T, comment string) {
	t.Helper()
	// As Slurm prints a job; one without a comment has no such line.
	text := "JobId=" + "$4 JobName=train\n   UserId=ada(1000)\n"
	if comment != "" {
		text += "   Comment=" + comment + "\n"
	}
	s.file(t, "job.txt", text+"\n"+text) // as of an array's last task, whose number is the array's
	s.file(t, "bin/scontrol", "#!/bin/sh\n[ \"$1 $2\" = 'show job' ] && cat job.txt\n")
	s.file(t, "bin/logger", "#!/bin/sh\necho \"$*\" >> syslog\n")
}

// logged is what logger was told since it was last asked.
func (s *stage) logged(t *testing.T) string {
	t.Helper()
	path := filepath.Join(s.dir, "syslog")
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mustHaveHappenedSomehow is mustHaveHappened for events of which a later one
// may have superseded others.
func (s *stage) mustHaveHappenedSomehow(t *testing.T, want []happening) {
	t.Helper()
	got := s.happened(t)
	byID := cmpopts.SortSlices(func(a, b happening) bool { return strings.Compare(a.ID, b.ID) < 0 })
	if diff := cmp.Diff(want, got, byID); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	for i, h := range got {
		r := s.final(t, sent{cluster: "default", id: h.ID, source: h.Source, seq: uint64(i + 1)})
		if r.Outcome != "warm" && r.Reason != "superseded" {
			t.Errorf("%+v ended %+v", h, r)
		}
	}
	if last := slices.IndexFunc(got, func(h happening) bool { return h.ID == want[len(want)-1].ID }); last != len(got)-1 {
		t.Errorf("the last event is number %d of %d", last+1, len(got))
	}
}
