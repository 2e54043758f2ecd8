package integration_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// writeChaosTable replaces the generated part of a document.
func writeChaosTable(path string, rows []chaosRow) error {
	const begin, end = "<!-- chaos:begin -->\n", "<!-- chaos:end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, okEnd := strings.Cut(rest, end)
	if !ok || !okEnd {
		return fmt.Errorf("%s: no %s", path, strings.TrimSpace(begin))
	}
	return os.WriteFile(path, []byte(head+begin+chaosMarkdown(rows)+end+tail), 0o644)
}

func chaosMarkdown(rows []chaosRow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Made on %s, %s on %s/%s, %d cores, race detector on.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	b.WriteString("| seed | replicas | events | faults | kinds | lost or wrong | early acks | fills | repeated | on record | recovery p50 | p99 | took |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	kinds := make(map[string]int)
	for _, r := range rows {
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s |\n",
			r.seed, r.replicas, r.events, r.faults, len(r.kinds), r.lost, r.early, r.requests, r.repeated, r.onRecord,
			quantile(r.recovery, 0.5).Round(10*time.Millisecond), quantile(r.recovery, 0.99).Round(10*time.Millisecond), r.took.Round(time.Second))
		for k, n := range r.kinds {
			kinds[k] += n
		}
	}
	b.WriteString("\n| fault | times |\n|---|---|\n")
	for _, k := range sortedKeys(kinds) {
		fmt.Fprintf(&b, "| %s | %d |\n", k, kinds[k])
	}
	return b.String()
}
