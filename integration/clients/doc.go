// Package clients holds the tests of the LOTA emulator with S3 clients that
// other people wrote: the AWS CLI, boto3 and s3cmd, unmodified and as Debian
// packages them. What each of them can do, and how it is set up, becomes the
// table of docs/clients.md. What really happened is asked of the emulator.
//
// With -short all of it is skipped; where a client is missing, its tests say so
// and are skipped.
package clients
