package main

import (
	"runtime/debug"

	"github.com/prestage/prestage/internal/app"
)

// release is the version by name, set by the linker:
// -ldflags "-X main.release=v1.2.3".
var release string

// build is what this program was built from, as far as it was told.
func build() app.Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return buildOf(release, info)
}

// buildOf prefers the name that the linker was given to the one that Go makes of
// the repository's tags.
func buildOf(release string, info *debug.BuildInfo) app.Build {
	b := app.Build{Version: release}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value + b.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Revision += "+dirty"
		}
	}
	return b
}
