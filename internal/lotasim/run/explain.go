package run

import (
	"io"
	"strings"
	"text/template"
)

// awsConfig lets the AWS CLI put the bucket into the host's name.
const awsConfig = "[default]\ns3 =\n    addressing_style = virtual\n"

// usage is what a user pastes. On a cluster the first line of "aws" and curl's
// -x are left out; nothing else changes.
var usage = template.Must(template.New("usage").Parse(`
lotasim emulates CoreWeave LOTA. Seed {{.Seed}}. It is no cache and not for production.

  LOTA     http://<bucket>.cwlota.com     answers on {{.LOTA}}
  primary  http://<bucket>.cwobject.com   answers on {{.Primary}}
  admin    http://{{.Admin}}/             history, truth, counters, faults
{{- if .SecondLOTA}}

A second cluster, with the same objects and a cache of its own:

  LOTA     http://<bucket>.cwlota.com     answers on {{.SecondLOTA}}
  admin    http://{{.SecondAdmin}}/             history, truth, counters, faults
{{- end}}

Keys and region:

  export AWS_ACCESS_KEY_ID={{.AccessKey}} AWS_SECRET_ACCESS_KEY={{.SecretKey}}
  export AWS_REGION={{.Region}} AWS_DEFAULT_REGION={{.Region}} AWS_CONFIG_FILE={{.AWSConfig}}

Upload, then warm with the AWS CLI:

  HTTP_PROXY=http://{{.LOTA}} aws --endpoint-url http://cwlota.com s3 cp FILE s3://{{.Bucket}}/KEY
  HTTP_PROXY=http://{{.LOTA}} aws --endpoint-url http://cwlota.com s3api head-object --bucket {{.Bucket}} --key KEY --range bytes=0-0

Warm with curl:

  curl -I -x http://{{.LOTA}} --aws-sigv4 aws:amz:{{.Region}}:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    -H 'Range: bytes=0-0' -H 'x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' \
    http://{{.Bucket}}.cwlota.com/KEY

What became of it:

  curl 'http://{{.Admin}}/truth?bucket={{.Bucket}}&key=KEY'

prestage against it:

  LOTA_ENDPOINT=http://cwlota.com LOTA_DIAL={{.LOTA}} prestage run
`))

// explain writes the lines to paste. A secret that isn't the well-known one of
// the defaults is not shown.
func (s *System) explain(o Options, out io.Writer) error {
	secret := o.SecretKey
	if secret != Defaults().SecretKey {
		secret = "YOUR-SECRET"
	}
	bucket := "BUCKET"
	if len(o.Buckets) > 0 {
		bucket = o.Buckets[0]
	}
	fields := map[string]any{
		"Seed": s.Sim.Seed(), "LOTA": s.Server.LOTAAddr(), "Primary": s.Server.PrimaryAddr(), "Admin": s.Server.AdminAddr(),
		"AccessKey": o.AccessKey, "SecretKey": secret, "Region": o.Region, "AWSConfig": s.AWSConfig, "Bucket": bucket, "SecondLOTA": "",
	}
	if s.SecondServer != nil {
		fields["SecondLOTA"], fields["SecondAdmin"] = s.SecondServer.LOTAAddr(), s.SecondServer.AdminAddr()
	}
	var text strings.Builder
	if err := usage.Execute(&text, fields); err != nil {
		return err
	}
	_, err := io.WriteString(out, text.String()+"\n")
	return err
}
