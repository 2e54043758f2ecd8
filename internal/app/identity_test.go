package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestWarnOfNoIdentity(t *testing.T) {
	t.Parallel()
	gives := func(c aws.Credentials, err error) aws.CredentialsProvider {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, err })
	}
	silent := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		<-ctx.Done()
		return aws.Credentials{}, ctx.Err()
	})
	for name, tt := range map[string]struct {
		provider aws.CredentialsProvider
		stop     bool // the program ends meanwhile
		warned   int
		after    time.Duration
	}{
		"some":         {gives(aws.Credentials{AccessKeyID: "id", SecretAccessKey: "hush"}, nil), false, 0, 0},
		"none":         {gives(aws.Credentials{}, errors.New("hush")), false, 1, 0},
		"empty":        {gives(aws.Credentials{AccessKeyID: "id"}, nil), false, 1, 0},
		"no provider":  {nil, false, 1, 0},
		"no answer":    {silent, false, 1, identityTimeout},
		"end of a run": {silent, true, 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.stop {
					time.AfterFunc(time.Second, cancel)
				}
				log, begun := &logbook{}, time.Now()
				warnOfNoIdentity(ctx, tt.provider, log.logger())
				if n := len(log.lines(`"level":"WARN"`, "no credentials", "AWS_ACCESS_KEY_ID")); n != tt.warned || time.Since(begun) != tt.after {
					t.Errorf("%d warnings after %s", n, time.Since(begun))
				}
				if len(log.lines("hush")) != 0 {
					t.Error("a secret")
				}
			})
		})
	}
}
