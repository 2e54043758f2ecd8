package dev

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// watchFills follows the fills of u in the emulator's truth until all that the
// cache takes are done or patience ends: a bar on a terminal, else a line an
// object.
func (s *system) watchFills(ctx context.Context, out io.Writer, terminal bool, u *upload, objects []*measured) error {
	patience := time.NewTimer(fillPatience)
	defer patience.Stop()
	var total int64
	for _, o := range objects {
		if !o.small {
			total += int64(len(o.data))
		}
	}
	filled := func(o *measured) {
		fmt.Fprintf(out, "  in the cache after %s: %s\n", round(o.toCache), o.uri())
	}
	if terminal {
		progress := mpb.New(mpb.WithOutput(out), mpb.WithWidth(48))
		bar := progress.AddBar(total,
			mpb.PrependDecorators(decor.Name("  "+u.title+" ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f of % .1f")))
		filled = func(o *measured) { bar.IncrBy(len(o.data)) }
		defer func() {
			bar.Abort(false)
			progress.Wait()
		}()
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting := false
		for _, o := range objects {
			if o.small || o.toCache > 0 {
				continue
			}
			if !s.lota.Sim.Truth(o.bucket, o.key).Cached {
				waiting = true
				continue
			}
			o.toCache = time.Since(u.sent)
			filled(o)
		}
		if !waiting {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C: // the table shows what is missing
			return nil
		case <-tick.C:
		}
	}
}
