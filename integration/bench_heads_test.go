package integration_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prestage/prestage/internal/dedupe"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
)

// headServer is what the HEADs are sent to.
type headServer struct {
	part   string
	atOnce []int
}

var headServers = []headServer{
	{part: "net/http", atOnce: []int{1, 64, 300}},
	{part: "lotasim", atOnce: []int{64}}, // it verifies each signature
}

// headSample is a turn: HEADs a second, and microseconds of the contender's
// process (user and system) for each.
type headSample struct{ perSecond, cpu float64 }

// headResult is all turns of one setting.
type headResult struct {
	server  string
	atOnce  int
	names   []string
	samples [][]headSample
}

const benchBucket = "bench"

// benchObjects are what is asked for, over and over.
func benchObjects() []object.Attrs {
	out := make([]object.Attrs, 1000)
	for i := range out {
		out[i] = object.Attrs{
			Ref:  object.Ref{Bucket: benchBucket, Key: fmt.Sprintf("run-7/step-100/__%d_0.distcp", i)},
			Size: object.UnknownSize,
		}
	}
	return out
}

// benchHeads compares what sends ranged HEADs, atOnce at a time.
func benchHeads(t *testing.T, e effort, against headServer, atOnce int) headResult {
	t.Helper()
	r := headRig{
		effort: e, atOnce: atOnce, objects: benchObjects(),
		transport: prestage.NewTransport(atOnce, time.Minute, child(t, against.part)),
		config:    aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")},
	}
	t.Cleanup(r.transport.CloseIdleConnections)
	contenders := []contender[headSample]{
		{"net/http, signed once", r.repeated(r.bare(t))},
		{"aws-sdk-go-v2 HeadObject", r.repeated(r.sdk())},
		{"prestage, one HEAD", r.repeated(r.sender().fill)},
		{"prestage, a whole event", r.events(t)},
	}
	result := headResult{server: against.part, atOnce: atOnce, samples: inRounds(t, e.rounds, contenders)}
	for _, c := range contenders {
		result.names = append(result.names, c.name)
	}
	return result
}

// headRig is what the contenders of one setting share.
type headRig struct {
	effort
	atOnce    int
	objects   []object.Attrs
	transport *http.Transport
	config    aws.Config
}

// measured lets work run until the turn is over. It returns how many HEADs it
// sent.
func (r *headRig) measured(t *testing.T, work func(over func() bool) int64) headSample {
	t.Helper()
	cpu, start := cpuTime(t), time.Now()
	n := float64(work(func() bool { return time.Since(start) >= r.turn }))
	elapsed, spent := time.Since(start), cpuTime(t)-cpu
	return headSample{perSecond: n / elapsed.Seconds(), cpu: float64(spent.Microseconds()) / n}
}

// repeated sends HEADs one by one, by as many workers as may be under way.
func (r *headRig) repeated(head func(context.Context, object.Ref) error) func(*testing.T) headSample {
	return func(t *testing.T) headSample {
		t.Helper()
		return r.measured(t, func(over func() bool) int64 {
			var sent atomic.Int64
			var wg sync.WaitGroup
			for range r.atOnce {
				wg.Go(func() {
					for !over() || sent.Load() == 0 {
						ref := r.objects[int(sent.Add(1))%len(r.objects)].Ref
						if err := head(t.Context(), ref); err != nil {
							t.Errorf("HEAD: %v", err)
							return
						}
					}
				})
			}
			wg.Wait()
			return sent.Load()
		})
	}
}

// bare sends one and the same request, which was signed once.
func (r *headRig) bare(t *testing.T) func(context.Context, object.Ref) error {
	t.Helper()
	signed := func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodHead, "http://"+benchBucket+".cwlota.com/"+r.objects[0].Key, nil)
	}
	first, err := signed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const ofNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	first.Header.Set("Range", "bytes=0-0")
	first.Header.Set("X-Amz-Content-Sha256", ofNothing)
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, first, ofNothing, "s3", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, _ object.Ref) error {
		again, err := signed(ctx)
		if err != nil {
			return err
		}
		again.Header = first.Header
		resp, err := r.transport.RoundTrip(again)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusPartialContent {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	}
}

func (r *headRig) sdk() func(context.Context, object.Ref) error {
	client := s3.New(s3.Options{
		Region: r.config.Region, Credentials: r.config.Credentials, BaseEndpoint: aws.String("http://cwlota.com"),
		HTTPClient: &http.Client{Transport: r.transport}, Retryer: aws.NopRetryer{},
	})
	return func(ctx context.Context, ref object.Ref) error {
		_, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &ref.Bucket, Key: &ref.Key, Range: aws.String("bytes=0-0")})
		return err
	}
}

// sender is what the program sends its requests with.
type sender struct{ *prestage.S3 }

func (s sender) fill(ctx context.Context, ref object.Ref) error {
	_, err := s.Fill(ctx, ref)
	return err
}

func (r *headRig) sender() sender {
	return sender{prestage.NewS3(r.config, prestage.S3Options{
		Endpoint: &url.URL{Scheme: "http", Host: "cwlota.com"}, Transport: r.transport,
	})}
}

// events warms events of all objects: plan, ledger, guard, limiter, fill and
// the records of it. Each has a ledger of its own, in memory, or all would be
// warm already.
func (r *headRig) events(t *testing.T) func(*testing.T) headSample {
	t.Helper()
	store, quiet := r.sender(), slog.New(slog.DiscardHandler)
	metrics := prestage.NewMetrics(prometheus.NewRegistry())
	guard := prestage.NewGuard(prestage.NewEndpoint(prestage.EndpointConfig{
		Addr: "cwlota.com:80", Metrics: metrics, Log: quiet,
		Dial: func(context.Context) error { return nil },
	}), prestage.NewLimiter(r.atOnce), store)
	all, err := prestage.ParseBuckets([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	planner, err := prestage.NewPlanner(prestage.PlannerConfig{Store: store, Guard: guard, Buckets: all, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) headSample {
		t.Helper()
		return r.measured(t, func(over func() bool) (sent int64) {
			for !over() || sent == 0 {
				warmer, err := prestage.NewWarmer(prestage.WarmerConfig{
					Store: store, Planner: planner, Guard: guard, Ledger: dedupe.NewMemory(),
					TTL: time.Hour, FillTimeout: time.Minute, Metrics: metrics, Log: quiet,
				})
				if err != nil {
					t.Fatal(err)
				}
				report := warmer.Warm(t.Context(), t.Context(), prestage.Request{Objects: r.objects, Complete: true}, prestage.NewProgress())
				if report.Objects.Filled != len(r.objects) {
					t.Fatalf("filled %d of %d objects: %v", report.Objects.Filled, len(r.objects), report.Problems)
				}
				sent += int64(report.Objects.Filled)
			}
			return sent
		})
	}
}

// cpuTime is what this process has used so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
