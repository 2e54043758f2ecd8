package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/app"
)

// userInfo is where a NATS server tells a user about itself.
const userInfo = "$SYS.REQ.USER.INFO"

// user is that answer, as far as it is of use.
type user struct {
	Server struct {
		Time time.Time `json:"time"`
	} `json:"server"`
	Data struct {
		User        string `json:"user"`
		Account     string `json:"account"`
		Permissions struct {
			Publish grant `json:"publish"`
		} `json:"permissions"` // empty: no restrictions
	} `json:"data"`
}

// grant is what may be done: what matches Allow (empty: everything) and not
// Deny.
type grant struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

func (g grant) permits(subject string) bool {
	return (len(g.Allow) == 0 || app.Covered(subject, g.Allow)) &&
		!slices.ContainsFunc(g.Deny, func(denied string) bool { return app.Meet(subject, denied) })
}

// whoami asks the server who it takes us for, and what its clock shows. nil: it
// does not say.
func (d *doctor) whoami(ctx context.Context, b *broker) *user {
	var reply *nats.Msg
	began := d.now()
	err := b.ask(ctx, func(ctx context.Context) (err error) {
		reply, err = b.nc.RequestWithContext(ctx, userInfo, nil)
		return err
	})
	ended := d.now()
	var u user
	if err == nil {
		err = json.Unmarshal(reply.Data, &u)
	}
	if err == nil && u.Server.Time.IsZero() {
		err = fmt.Errorf("the answer to %s tells no time", userInfo)
	}
	if err != nil {
		d.topic("clock of nats").warn("permit publishing to "+userInfo, "cannot be seen: %v", err)
		return nil
	}
	d.clock("nats", u.Server.Time, began, ended)
	return &u
}

// permissions holds what the daemon publishes to against what u may. Nothing is
// published to find out, so that nothing changes.
func (d *doctor) permissions(u *user, needs []string) {
	t := d.topic("permissions")
	if u == nil {
		t.warn("permit publishing to "+userInfo+", or see by hand that publishing is permitted to "+strings.Join(needs, " "),
			"the server does not say what this user may do")
		return
	}
	missing := slices.DeleteFunc(slices.Clone(needs), u.Data.Permissions.Publish.permits)
	if len(missing) > 0 {
		t.fail("add to the user's publish permissions, and take out of what is denied to it: "+strings.Join(missing, " "),
			"user %q of account %q may not publish to %s", u.Data.User, u.Data.Account, strings.Join(missing, " "))
	}
	t.fine("user %q of account %q may do all that prestage does", u.Data.User, u.Data.Account)
}
