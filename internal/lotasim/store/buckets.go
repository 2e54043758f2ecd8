package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/prestage/prestage/internal/object"
)

// client is one of the store's own server, past every emulator.
func (s *Store) client(accessKey, secretKey string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + s.opts.PrimaryDomain),
		Region:       s.opts.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:   &http.Client{Transport: s.primary.transport},
	})
}

func (s *Store) owner() *s3.Client { return s.client(s.opts.AccessKey, s.opts.SecretKey) }

// CreateBucket makes a bucket that is usable at once; one that exists is fine.
// Options.ListOnlyKey may list it.
func (s *Store) CreateBucket(ctx context.Context, name string) error {
	if err := s.create(ctx, s.owner(), name); err != nil || s.opts.ListOnlyKey == "" {
		return err
	}
	text, err := policy(s.opts, name)
	if err != nil {
		return err
	}
	if _, err := s.owner().PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: &text}); err != nil {
		return fmt.Errorf("let %s list bucket %s: %w", s.opts.ListOnlyKey, name, err)
	}
	return nil
}

// CreateForeignBucket makes a bucket of another customer: to every key of the
// Options it is 403.
func (s *Store) CreateForeignBucket(ctx context.Context, name string) error {
	return s.create(ctx, s.client(s.accounts.root.Access, s.accounts.root.Secret), name)
}

func (s *Store) create(ctx context.Context, c *s3.Client, name string) error {
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: aws.String(name),
		CreateBucketConfiguration: &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(s.opts.Region),
		},
	})
	var owned *types.BucketAlreadyOwnedByYou
	if err == nil || errors.As(err, &owned) {
		return nil
	}
	return fmt.Errorf("create bucket %s: %w", name, err)
}

// KeepVersions lets a bucket keep versions from now on; needs Options.Versions.
func (s *Store) KeepVersions(ctx context.Context, name string) error {
	_, err := s.owner().PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		return fmt.Errorf("keep versions in bucket %s: %w", name, err)
	}
	return nil
}

// HasBucket tells whether a bucket exists, whoever owns it.
func (s *Store) HasBucket(name string) bool {
	if object.CheckBucket(name) != nil {
		return false
	}
	info, err := os.Stat(filepath.Join(s.objects, name))
	return err == nil && info.IsDir()
}
