package prestage

import (
	"net/http"
	"sync/atomic"
	"time"
)

// maxSkew is how far a signature's time may be off before it is suspected to be
// why a request was refused. S3 allows 15 minutes.
const maxSkew = 4 * time.Minute

// serverClock is our clock, set right by what a server said was wrong with it.
// The SDK keeps one of its own for the other requests.
type serverClock struct{ ahead atomic.Int64 } // the server's, in nanoseconds

// now is the time to sign with.
func (c *serverClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// corrects learns from the Date of a refusal of what was signed at the time
// signed. It says whether that was far off, so that another try makes sense. A
// correction that is no longer right is undone in the same way.
func (c *serverClock) corrects(signed time.Time, date string) bool {
	server, err := http.ParseTime(date)
	if err != nil || server.Sub(signed).Abs() < maxSkew {
		return false
	}
	c.ahead.Store(int64(time.Until(server)))
	return true
}
