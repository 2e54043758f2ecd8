package lotasim_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/prestage/prestage/lotasim"
)

// warm stands for the code to be tried.
func warm(ctx context.Context, c *s3.Client, bucket, key string) error {
	_, err := c.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Range: aws.String("bytes=0-0"),
	})
	return err
}

// Code that warms is tried with its own S3 client, which only connects
// elsewhere. Its first request meets a bad moment.
func Example() {
	ctx := context.Background()
	lota, err := lotasim.Start(ctx, lotasim.Fast(), lotasim.StoreOptions{})
	if err != nil {
		panic(err)
	}
	defer lota.Close()
	lota.Objects.Put("ckpt", "run-7/step-100.pt", 8<<30)
	lota.Objects.Put("ckpt", "run-7/latest", 12)

	transport := lota.Transport()
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://cwlota.com"),
		Region:       lotasim.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(lotasim.AccessKeyID, lotasim.SecretAccessKey, ""),
		HTTPClient:   &http.Client{Transport: transport},
	})

	if _, err := lota.AddRule(lotasim.Rule{Do: lotasim.AnswerStatus, Status: http.StatusServiceUnavailable, Count: 1}); err != nil {
		panic(err)
	}
	for _, key := range []string{"run-7/step-100.pt", "run-7/latest"} {
		if err := warm(ctx, client, "ckpt", key); err != nil {
			panic(err)
		}
		truth := lota.Truth("ckpt", key)
		fmt.Printf("%s: cached %v, fills %d\n", key, truth.Cached, truth.Fills)
	}
	for _, r := range lota.History(lotasim.Filter{Key: "run-7/step-100.pt"}) {
		fmt.Println(r.Method, r.Host, r.Range, r.Status)
	}
	// Output:
	// run-7/step-100.pt: cached true, fills 1
	// run-7/latest: cached false, fills 0
	// HEAD ckpt.cwlota.com bytes=0-0 503
	// HEAD ckpt.cwlota.com bytes=0-0 206
}
