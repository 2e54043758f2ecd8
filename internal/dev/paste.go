package dev

import (
	"fmt"
	"io"
	"strings"
)

// paste prints lines with which the running system can be tried by hand.
func (s *system) paste(out io.Writer, command string) error {
	object := modelPrefix + "model-00001-of-00004.safetensors"
	r := strings.NewReplacer(
		"{nats}", s.natsURL, "{lota}", s.lota.Server.LOTAAddr(), "{primary}", s.lota.Server.PrimaryAddr(),
		"{sim}", s.lota.Server.AdminAddr(), "{admin}", s.admin, "{gateway}", s.gateway, "{config}", s.lota.AWSConfig, "{command}", command,
		"{key}", accessKey, "{secret}", secretKey, "{region}", region,
		"{bucket}", modelBucket, "{object}", object,
		"{empty}", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	)
	_, err := r.WriteString(out, `
Running until Ctrl-C. To paste into another shell:

# what happened: events, results, the daemon
nats --server {nats} stream ls
nats --server {nats} stream get PRESTAGE_RESULTS --last-for 'prestage.warmed.>'
curl http://{admin}/readyz; curl -s http://{admin}/metrics | grep ^prestage_
curl http://{admin}/api/status # or in a browser: http://{admin}/

# as it happens, in a shell of its own: receipts, or results and dead letters
nats --server {nats} kv watch prestage_receipts
nats --server {nats} sub 'prestage.>'

# write a checkpoint and have it warmed
export AWS_CONFIG_FILE={config} AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret}
export NATS_URL={nats} LOTA_DIAL={lota} # for prestage itself; on a cluster LOTA_DIAL is not set
head -c 50000000 /dev/urandom > /tmp/weights.bin
HTTP_PROXY=http://{primary} aws --endpoint-url http://cwobject.com s3 cp /tmp/weights.bin s3://checkpoints/run-8/step-1/weights.bin
{command} publish --run run-8 --step 1 --wait s3://checkpoints/run-8/step-1/weights.bin
# "accepted" comes before the fill's end, as on a cluster; the emulator knows when it is in the cache
sleep 1; curl 'http://{sim}/truth?bucket=checkpoints&key=run-8/step-1/weights.bin'

# what is known of it, in the same shell
{command} status
{command} plan s3://checkpoints/run-8/
{command} wait s3://checkpoints/run-8/

# the same event with the nats tool; --jetstream waits for the stream, without it a mistyped subject is lost without a word
nats --server {nats} pub --jetstream events.checkpoint.written.run-8 '{"uri":"s3://checkpoints/run-8/step-1/","run":"run-8","step":1,"complete":true}'

# and over HTTP; the answer's Location tells what became of it
curl -i http://{gateway}/v1/events -H 'Content-Type: application/json' -d '{"uri":"s3://checkpoints/run-8/step-1/","run":"run-8","step":1,"complete":true}'

# warm by hand; on a cluster the same lines without HTTP_PROXY and -x
HTTP_PROXY=http://{lota} aws --endpoint-url http://cwlota.com s3api head-object --bucket {bucket} --key {object} --range bytes=0-0
curl -I -x http://{lota} --user {key}:{secret} --aws-sigv4 aws:amz:{region}:s3 -H 'Range: bytes=0-0' -H 'x-amz-content-sha256: {empty}' http://{bucket}.cwlota.com/{object}

# what the emulator saw
curl 'http://{sim}/history?range=bytes=0-0&limit=5'
`)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
