package doctor

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/prestage/prestage/internal/app"
)

// tail is how much of an access key id is shown. The secret never is.
const tail = 4

// credentials looks at what requests would be signed with.
func (d *doctor) credentials(ctx context.Context) {
	t := d.topic("credentials")
	const remedy = app.CredentialsRemedy
	if d.AWS.Credentials == nil {
		t.fail(remedy, "no provider is configured")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	c, err := d.AWS.Credentials.Retrieve(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		t.fail(remedy, "none within %s", d.limit)
		return
	case err != nil: // its text may hold what a helper printed
		t.fail(remedy, "no provider of the AWS SDK's default chain has any, or the one that is configured fails")
		return
	case !c.HasKeys():
		t.fail(remedy, "%s gave an empty key", c.Source)
		return
	}
	if c.SessionToken != "" && c.Source == config.CredentialsSourceName {
		t.warn("unset AWS_SESSION_TOKEN", "AWS_SESSION_TOKEN is set: CoreWeave's access keys have none, and a stray one is answered HTTP 400")
	}
	life := "without expiry"
	if c.CanExpire {
		left := c.Expires.Sub(d.now()).Round(time.Second)
		if left <= 0 {
			t.fail("get new ones; where a program renews them, see why it does not", "from %s, expired %s ago", c.Source, -left)
		}
		life = "for another " + left.String()
	}
	id := "is too short to show a part of"
	if len(c.AccessKeyID) > 3*tail {
		id = "ends in " + c.AccessKeyID[len(c.AccessKeyID)-tail:]
	}
	t.fine("from %s, access key id %s, %s", c.Source, id, life)
}

// region says what requests are signed for.
func (d *doctor) region() {
	t := d.topic("region")
	if d.AWS.Region == "" {
		t.warn("set AWS_REGION to the availability zone of your buckets, such as US-EAST-04A",
			"AWS_REGION is not set: requests are signed for %q, which CoreWeave's documents do not mention", app.DefaultRegion)
	}
	t.fine("requests are signed for %s", d.signedFor())
}

// signedFor is the region that requests bear.
func (d *doctor) signedFor() string {
	if d.AWS.Region == "" {
		return app.DefaultRegion
	}
	return d.AWS.Region
}
