package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// identityTimeout bounds the look for credentials at start: the SDK's chain asks
// addresses that may not answer.
const identityTimeout = 10 * time.Second

// CredentialsRemedy is what to do when there are no credentials.
const CredentialsRemedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod an identity " +
	"(AWS_CONTAINER_CREDENTIALS_FULL_URI with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)"

// warnOfNoIdentity says at start what else the first event would tell. It is no
// reason to stop: an identity may come later, and is asked for again then. The
// provider's error is not logged, it may hold what a helper printed.
func warnOfNoIdentity(ctx context.Context, credentials aws.CredentialsProvider, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	if credentials != nil {
		got, err := credentials.Retrieve(ctx)
		if (err == nil && got.HasKeys()) || errors.Is(ctx.Err(), context.Canceled) {
			return
		}
	}
	log.LogAttrs(ctx, slog.LevelWarn, "no credentials for the object store: every event will wait", slog.String("remedy", CredentialsRemedy))
}
