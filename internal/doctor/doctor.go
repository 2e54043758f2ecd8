package doctor

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/prestage/prestage/internal/app"
	"github.com/prestage/prestage/internal/object"
)

// checkLimit is how long one request of a check may take.
const checkLimit = 10 * time.Second

// Clocks that differ by less than skewWarn are fine. From skewFail on signatures
// are about to be refused: AWS does that at 15 minutes.
const (
	skewWarn = 30 * time.Second
	skewFail = 5 * time.Minute
)

// Options are what is examined.
type Options struct {
	Config app.Config // checked
	AWS    aws.Config // region and credentials
	// Target is what to ask the store for: a bucket, or an object or a prefix in
	// it. The zero value: nothing.
	Target object.Ref
}

// Examine makes one check after the other and tells each finding as it comes. A
// check that fails only keeps those from running that need what it lacks. When
// ctx ends, so does Examine, and what it has not found out by then is not told.
func Examine(ctx context.Context, o Options, tell func(Finding)) {
	d := newDoctor(o, func(f Finding) {
		if ctx.Err() == nil {
			tell(f)
		}
	})
	d.examine(ctx)
}

// resolver is what looks up the hosts of buckets.
type resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

type doctor struct {
	Options

	tell  func(Finding)
	limit time.Duration
	now   func() time.Time
	dns   resolver
}

func newDoctor(o Options, tell func(Finding)) *doctor {
	return &doctor{Options: o, tell: tell, limit: checkLimit, now: time.Now, dns: net.DefaultResolver}
}

func (d *doctor) examine(ctx context.Context) {
	d.rules()
	d.broker(ctx)
	d.region()
	d.credentials(ctx)
	d.lota(ctx)
	d.tracking(ctx)
}

func (d *doctor) topic(format string, args ...any) *topic {
	return &topic{name: fmt.Sprintf(format, args...), tell: d.tell}
}

// clock compares this host's clock with another: theirs is what that one showed
// between began and ended.
func (d *doctor) clock(whose string, theirs, began, ended time.Time) {
	t := d.topic("clock of %s", whose)
	skew := began.Add(ended.Sub(began) / 2).Sub(theirs).Round(time.Second)
	const remedy = "synchronise this host's clock (NTP): the store refuses signatures from a clock that is minutes off, and ages of events come out wrong"
	switch {
	case skew.Abs() > skewFail:
		t.fail(remedy, "differs by %s from ours", skew.Abs())
	case skew.Abs() > skewWarn:
		t.warn(remedy, "differs by %s from ours", skew.Abs())
	}
	t.fine("agrees with ours within %s", skew.Abs()+time.Second)
}
