package arch_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRepository holds this repository against the rules.
func TestRepository(t *testing.T) {
	t.Parallel()
	files, err := readSource(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("read %d files: this is not the root of the repository", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

// TestRules shows each rule failing, and what it lets pass.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, src string
		want            []string
	}{
		{
			name: "an arrow that exists",
			file: "internal/app/app.go",
			src:  `import _ "github.com/prestage/prestage/internal/consumer"`,
		},
		{
			name: "an arrow against the current",
			file: "internal/consumer/consumer.go",
			src:  `import _ "github.com/prestage/prestage/internal/app"`,
			want: []string{"internal/consumer/consumer.go: internal/consumer must not import internal/app"},
		},
		{
			name: "the warmer asks the ledger, not the other way round",
			file: "internal/dedupe/kv.go",
			src:  `import _ "github.com/prestage/prestage/internal/prestage"`,
			want: []string{"internal/dedupe/kv.go: internal/dedupe must not import internal/prestage"},
		},
		{
			name: "the emulator is not in the daemon",
			file: "internal/app/app.go",
			src:  `import _ "github.com/prestage/prestage/internal/lotasim"`,
			want: []string{"internal/app/app.go: internal/app must not import internal/lotasim"},
		},
		{
			name: "tests may use the emulator",
			file: "internal/prestage/warmer_test.go",
			src:  `import _ "github.com/prestage/prestage/internal/lotasim"`,
		},
		{
			name: "a package that nobody has placed",
			file: "internal/util/util.go",
			want: []string{"internal/util/util.go: package internal/util has no row in the arrows"},
		},
		{
			name: "a leaf with a dependency",
			file: "internal/events/decode.go",
			src:  `import ( _ "encoding/json"; _ "github.com/google/uuid" )`,
			want: []string{"internal/events/decode.go: internal/events imports the standard library only, not github.com/google/uuid"},
		},
		{
			name: "the SDK in the loop",
			file: "internal/consumer/s3.go",
			src:  `import _ "github.com/aws/aws-sdk-go-v2/service/s3"`,
			want: []string{"internal/consumer/s3.go: internal/consumer must not import github.com/aws/aws-sdk-go-v2/service/s3: requests to the store are made in one place, and wired in another"},
		},
		{
			name: "NATS in the warmer",
			file: "internal/prestage/warmer.go",
			src:  `import _ "github.com/nats-io/nats.go"`,
			want: []string{"internal/prestage/warmer.go: internal/prestage must not import github.com/nats-io/nats.go: only the loop, the ledger, publish and the wiring speak JetStream"},
		},
		{
			name: "a server in the daemon",
			file: "internal/app/nats.go",
			src:  `import _ "github.com/nats-io/nats-server/v2/server"`,
			want: []string{"internal/app/nats.go: internal/app must not import github.com/nats-io/nats-server/v2/server: the daemon carries no server"},
		},
		{
			name: "a server in a test",
			file: "internal/app/nats_test.go",
			src:  `import _ "github.com/nats-io/nats-server/v2/server"`,
		},
		{
			name: "the store's own library, even in a test",
			file: "internal/lotasim/sim_test.go",
			src:  `import _ "github.com/versity/versitygw/s3api"`,
			want: []string{"internal/lotasim/sim_test.go: internal/lotasim must not import github.com/versity/versitygw/s3api: one package knows the store's traps"},
		},
		{
			name: "the environment at the edge",
			file: "cmd/consumer/main.go",
			src:  `import "os"; var _ = os.Environ()`,
		},
		{
			name: "the environment below it",
			file: "internal/app/config.go",
			src:  `import "os"; func f() { _ = os.Getenv("X"); g := os.Environ; _ = g }`,
			want: []string{
				"internal/app/config.go: os.Getenv belongs to the edge of the program, not to internal/app",
				"internal/app/config.go: os.Environ belongs to the edge of the program, not to internal/app",
			},
		},
		{
			name: "work at import",
			file: "cmd/consumer/main.go",
			src:  `func init() {}`,
			want: []string{"cmd/consumer/main.go: func init belongs to the edge of the program, not to cmd/consumer"},
		},
		{
			name: "a bucket's keys",
			file: "internal/status/status.go",
			src:  `import "maps"; func f() { kv().ListKeys(ctx); b.kv.Keys(ctx); maps.Keys(m); _ = c.Keys["a"] }`,
			want: []string{
				"internal/status/status.go: ListKeys lists a bucket's keys: ask for one, or watch what is below one",
				"internal/status/status.go: Keys lists a bucket's keys: ask for one, or watch what is below one",
			},
		},
		{
			name: "a bucket's keys, in a test",
			file: "internal/status/status_test.go",
			src:  `func f() { kv.Keys(ctx) }`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files, err := readSource(fstest.MapFS{tt.file: {Data: []byte("package p; " + tt.src)}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, violations(files)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadSource shows which files are read.
func TestReadSource(t *testing.T) {
	t.Parallel()
	src := &fstest.MapFile{Data: []byte("package p")}
	files, err := readSource(fstest.MapFS{
		"internal/app/app.go":              src,
		"internal/app/tagged.go":           {Data: []byte("//go:build never\n\npackage p")},
		"internal/app/testdata/example.go": {Data: []byte("not Go")},
		"tools/x/tool.go":                  src,
		".hidden/x.go":                     src,
		"README.md":                        {Data: []byte("# prestage")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.path)
	}
	if diff := cmp.Diff([]string{"internal/app/app.go", "internal/app/tagged.go"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	_, err = readSource(fstest.MapFS{"internal/app/app.go": {Data: []byte("not Go")}})
	if err == nil || !strings.Contains(err.Error(), "internal/app/app.go") {
		t.Errorf("error %v does not name the broken file", err)
	}
}
