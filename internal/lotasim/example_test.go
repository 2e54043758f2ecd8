package lotasim_test

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/prestage/prestage/internal/lotasim"
)

// warm is the code to be tried: it asks LOTA to fill its cache with an object.
func warm(ctx context.Context, c *s3.Client, bucket, key string) error {
	_, err := c.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Range: aws.String("bytes=0-0"),
	})
	return err
}

// A program is tried with a catalogue of objects that cost nothing, its own S3
// client, and the truth about the cache, which no cluster would tell.
func Example() {
	ctx := context.Background()
	objects := lotasim.NewCatalogue(lotasim.CatalogueOptions{
		Region:      "US-EAST-04A",
		Credentials: []lotasim.Credential{{AccessKeyID: "AKIATEST", SecretAccessKey: "secret"}},
	})
	objects.Put("ckpt", "run-7/step-100.pt", 8<<30)
	objects.Put("ckpt", "run-7/latest", 12)

	sim, err := lotasim.New(lotasim.Fast(), objects.Backends())
	if err != nil {
		panic(err)
	}
	defer sim.Close()
	server, err := lotasim.Listen(ctx, sim, lotasim.Addrs{})
	if err != nil {
		panic(err)
	}
	defer server.Close()

	// The client dials the emulator whatever the bucket's host name.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.LOTAAddr())
	}}
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://cwlota.com"),
		Region:       "US-EAST-04A",
		Credentials:  credentials.NewStaticCredentialsProvider("AKIATEST", "secret", ""),
		HTTPClient:   &http.Client{Transport: transport},
	})

	// The first request meets a bad moment; the SDK tries again.
	_, err = sim.AddRule(lotasim.Rule{
		Match: lotasim.Match{Ranged: true}, Do: lotasim.AnswerStatus, Status: http.StatusServiceUnavailable, Count: 1,
	})
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"run-7/step-100.pt", "run-7/latest"} {
		if err := warm(ctx, client, "ckpt", key); err != nil {
			panic(err)
		}
		truth := sim.Truth("ckpt", key)
		fmt.Printf("%s: cached %v, fills %d\n", key, truth.Cached, truth.Fills)
	}
	fmt.Println("requests:", sim.Count(lotasim.Filter{Range: "bytes=0-0"}))
	// Output:
	// run-7/step-100.pt: cached true, fills 1
	// run-7/latest: cached false, fills 0
	// requests: 3
}
