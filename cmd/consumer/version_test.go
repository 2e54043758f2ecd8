package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestBuildOf(t *testing.T) {
	t.Parallel()
	tagged := debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}
	changed := debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}}
	clean := debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.modified", Value: "false"}, {Key: "vcs.revision", Value: "abc"}}}
	for _, tt := range []struct {
		release string
		info    debug.BuildInfo
		want    string
	}{
		{"", debug.BuildInfo{}, "unknown " + runtime.Version()},
		{"", tagged, "v1.2.3 " + runtime.Version()},
		{"v1.2.3-4-gabc", tagged, "v1.2.3-4-gabc " + runtime.Version()},
		{"v2", changed, "v2 " + runtime.Version() + " abc+dirty"},
		{"v2", clean, "v2 " + runtime.Version() + " abc"},
	} {
		if got := buildOf(tt.release, &tt.info).String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
