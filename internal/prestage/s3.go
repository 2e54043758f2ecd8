package prestage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// S3 speaks to LOTA: with the AWS SDK's client, but for the HEADs of objects, of
// which there are many. It is a Filler, a Catalogue and a BucketHeader, and safe
// for concurrent use.
type S3 struct {
	*heads
	client *s3.Client
}

// S3Options says where LOTA is and how it is reached.
type S3Options struct {
	Endpoint  *url.URL          // scheme and host[:port] alone: http://cwlota.com
	Transport http.RoundTripper // NewTransport's
}

// NewS3 makes a client with the region and the credentials of cfg. Everything
// else that cfg may bring (retries, endpoints, HTTP client, logging) is left
// out on purpose. The version id of an object is never sent: what LOTA does
// with one is not documented.
func NewS3(cfg aws.Config, o S3Options) *S3 {
	transport := &sentry{endpoint: o.Endpoint, next: o.Transport}
	heads := newHeads(cfg, o.Endpoint, transport)
	client := s3.New(s3.Options{
		Region:       cfg.Region,
		Credentials:  credentials{cfg.Credentials},
		BaseEndpoint: aws.String(o.Endpoint.Scheme + "://" + o.Endpoint.Host),
		HTTPClient: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retryer:                    aws.NopRetryer{}, // retry.go has the one policy
		HTTPSignerV4:               clockSigner{heads.signer, &heads.clock},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// A bucket may be called "x--x-s3": no reason to open an Express session.
		DisableS3ExpressSessionAuth: aws.Bool(true),
		Logger:                      logging.Nop{},
	})
	return &S3{heads: heads, client: client}
}

// maxKeys of a page are as many as S3 gives.
const maxKeys = 1000

// List reads one page with ListObjectsV2.
func (s *S3) List(ctx context.Context, bucket, prefix, token string) (Page, error) {
	return s.list(ctx, object.Ref{Bucket: bucket, Key: prefix}, token, maxKeys)
}

// Any asks for a page of one key.
func (s *S3) Any(ctx context.Context, prefix object.Ref) (bool, error) {
	page, err := s.list(ctx, prefix, "", 1)
	return len(page.Objects) > 0, err
}

func (s *S3) list(ctx context.Context, ref object.Ref, token string, most int32) (Page, error) {
	in := &s3.ListObjectsV2Input{
		Bucket: &ref.Bucket, Prefix: &ref.Key, MaxKeys: &most,
		// XML cannot carry every key; a store that does not escape does not say so.
		EncodingType: types.EncodingTypeUrl,
	}
	if token != "" {
		in.ContinuationToken = &token
	}
	out, err := inTime(&s.clock, func() (*s3.ListObjectsV2Output, error) { return s.client.ListObjectsV2(ctx, in) })
	if err != nil {
		return Page{}, classify(ctx, "list", ref, err)
	}
	if status := statusOf(out.ResultMetadata); status != http.StatusOK {
		return Page{}, statusError("list", ref, status, nil, errUnexpected)
	}
	page, err := readPage(ref.Bucket, out)
	if err != nil {
		return Page{}, statusError("list", ref, 0, nil, err)
	}
	return page, nil
}

// Get reads ref whole. Longer than limit bytes is Permanent and malformed.
func (s *S3) Get(ctx context.Context, ref object.Ref, limit int64) ([]byte, error) {
	out, err := inTime(&s.clock, func() (*s3.GetObjectOutput, error) {
		return s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &ref.Bucket, Key: &ref.Key})
	})
	if err != nil {
		return nil, classify(ctx, "get", ref, err)
	}
	defer out.Body.Close()
	if status := statusOf(out.ResultMetadata); status != http.StatusOK {
		return nil, statusError("get", ref, status, nil, errUnexpected)
	}
	data, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	switch {
	case int64(len(data)) > limit:
		return nil, &outcome.Error{
			Op: "get", Ref: ref, Class: outcome.Permanent, Reason: outcome.Malformed,
			Err: fmt.Errorf("longer than %d bytes", limit),
		}
	case err != nil:
		return nil, classify(ctx, "get", ref, err)
	}
	return data, nil
}

// HeadBucket asks whether the bucket's host answers.
func (s *S3) HeadBucket(ctx context.Context, bucket string) error {
	_, err := inTime(&s.clock, func() (*s3.HeadBucketOutput, error) {
		return s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	})
	switch {
	case errors.As(err, new(*credentialsError)): // even when it is what took too long
		return classify(context.WithoutCancel(ctx), "head bucket", object.Ref{Bucket: bucket}, err)
	case err != nil:
		return classify(ctx, "head bucket", object.Ref{Bucket: bucket}, err)
	}
	return nil
}

func statusOf(m middleware.Metadata) int {
	if resp, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok {
		return resp.StatusCode
	}
	return 0
}

// credentials marks the errors of a provider, which the SDK does not type.
type credentials struct{ aws.CredentialsProvider }

func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if c.CredentialsProvider == nil {
		return aws.Credentials{}, &credentialsError{err: errors.New("no provider is configured")}
	}
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err: err}
	}
	return v, nil
}
