package consumer

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/prestage"
)

const testKey = "c1.e.s.EVENTS.7"

func testReceipt(o Outcome) Receipt {
	return Receipt{
		EventID: "e", Cluster: testCluster, Outcome: o, Stream: "EVENTS", StreamSeq: 7,
		StreamTime: time.Date(2026, 11, 20, 10, 0, 0, 123456789, time.UTC),
		Received:   time.Date(2026, 11, 20, 10, 0, 1, 0, time.UTC), Failures: []prestage.Failure{},
	}
}

// streamHas is an event stream that has one message, or none when it is zero.
type streamHas time.Time

func (s streamHas) GetMsg(context.Context, uint64, ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	if time.Time(s).IsZero() {
		return nil, jetstream.ErrMsgNotFound
	}
	return &jetstream.RawStreamMsg{Time: time.Time(s)}, nil
}

func TestReceiptsCompareAndSet(t *testing.T) {
	t.Parallel()
	mine := testReceipt(Warm)
	mine.Bytes = 1
	theirs := func(o Outcome, change func(*Receipt)) *Receipt {
		r := testReceipt(o)
		r.Bytes = 2
		if change != nil {
			change(&r)
		}
		return &r
	}
	earlier := func(r *Receipt) { r.StreamTime = r.StreamTime.Add(-time.Nanosecond) }
	later := func(r *Receipt) { r.StreamTime = r.StreamTime.Add(time.Nanosecond) }
	another := mine.StreamTime.Add(time.Minute)
	tests := map[string]struct {
		meanwhile *Receipt  // written by another replica since we read nothing
		raw       string    // or this
		stream    time.Time // of the message that the stream has now; zero: it has none
		won       bool
		stands    int64 // the Bytes that tell whose it is
		err       error
	}{
		"first wins":                    {won: true, stands: 1},
		"a loser follows a warm one":    {meanwhile: theirs(Warm, nil), stands: 2},
		"a loser follows a skipped one": {meanwhile: theirs(Skipped, nil), stands: 2},
		"a loser follows a dead letter": {meanwhile: theirs(DeadLettered, nil), stands: 2},
		"a pending one is replaced":     {meanwhile: theirs(Pending, nil), won: true, stands: 1},
		"unreadable":                    {raw: "{", won: true, stands: 1},
		"of another kind":               {raw: `{"outcome":"warm"}`, won: true, stands: 1},
		"not even an object":            {raw: `[1]`, won: true, stands: 1},

		"an earlier one, and the stream has ours": {meanwhile: theirs(Warm, earlier), stream: mine.StreamTime, won: true, stands: 1},
		"a later one, and the stream has ours":    {meanwhile: theirs(Warm, later), stream: mine.StreamTime, won: true, stands: 1},
		"an earlier one, and the stream does not": {meanwhile: theirs(Warm, earlier), stream: another, err: errOutlived},
		"a later one, and the stream does not":    {meanwhile: theirs(Warm, later), stream: another, err: errOutlived},
		"an earlier one, and nobody knows":        {meanwhile: theirs(Warm, earlier), won: true, stands: 1},
		"a later one, and nobody knows":           {meanwhile: theirs(Warm, later), err: errOutlived},
	}
	rig := newRig(t, setup{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, s := t.Context(), *rig.lane.receipts
			s.events = streamHas(tt.stream)
			key := "c1." + Hash(name) + ".s.EVENTS.7"
			if h, err := s.read(ctx, key, mine); err != nil || h.rev != 0 || h.Outcome != "" {
				t.Fatalf("nothing there: %+v, %v", h, err)
			}
			if tt.meanwhile != nil {
				if _, won, err := s.write(ctx, key, *tt.meanwhile, 0); err != nil || !won {
					t.Fatal(won, err)
				}
			} else if tt.raw != "" {
				if _, err := rig.receipts.PutString(ctx, key, tt.raw); err != nil {
					t.Fatal(err)
				}
			}
			stands, won, err := s.write(ctx, key, mine, 0)
			if !errors.Is(err, tt.err) || won != tt.won || stands.Bytes != tt.stands {
				t.Fatalf("won %v, %d bytes, error %v; want %v, %d, %v", won, stands.Bytes, err, tt.won, tt.stands, tt.err)
			}
			if tt.err != nil {
				return
			}
			h, err := s.read(ctx, key, mine)
			if err != nil || h.rev == 0 {
				t.Fatal(h.rev, err)
			}
			if diff := cmp.Diff(stands, h.Receipt); diff != "" {
				t.Errorf("what stands is not what is stored:\n%s", diff)
			}
		})
	}
}

// TestReceiptsLoserOfAPending: both replicas read the pending receipt, and the
// other one made it final first.
func TestReceiptsLoserOfAPending(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	ctx, s := t.Context(), *rig.lane.receipts
	if _, _, err := s.write(ctx, testKey, testReceipt(Pending), 0); err != nil {
		t.Fatal(err)
	}
	h, err := s.read(ctx, testKey, testReceipt(""))
	if err != nil {
		t.Fatal(err)
	}
	theirs := testReceipt(DeadLettered)
	theirs.Bytes = 2
	if _, won, err := s.write(ctx, testKey, theirs, h.rev); err != nil || !won {
		t.Fatal(won, err)
	}
	stands, won, err := s.write(ctx, testKey, testReceipt(Warm), h.rev)
	if diff := cmp.Diff(theirs, stands); diff != "" || won || err != nil {
		t.Errorf("won %v, error %v, what stands (-theirs +got):\n%s", won, err, diff)
	}
}

func TestReceiptsRead(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	ctx, s := t.Context(), *rig.lane.receipts
	want := testReceipt(Pending)
	want.Attempts = 3
	if _, _, err := s.write(ctx, testKey, want, 0); err != nil {
		t.Fatal(err)
	}
	h, err := s.read(ctx, testKey, testReceipt(""))
	if diff := cmp.Diff(want, h.Receipt); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	// A stream made anew: what is there counts as none, but is replaced. The
	// clock may have been set back since.
	for _, ago := range []time.Duration{-time.Hour, time.Hour} {
		anew := testReceipt("")
		anew.StreamTime = anew.StreamTime.Add(-ago)
		s.events = streamHas(anew.StreamTime)
		if h, err := s.read(ctx, testKey, anew); err != nil || h.rev == 0 || h.Outcome != "" || h.Attempts != 0 {
			t.Errorf("another stream's receipt: %+v, %v", h, err)
		}
		s.events = streamHas(want.StreamTime)
		if _, err := s.read(ctx, testKey, anew); !errors.Is(err, errOutlived) {
			t.Errorf("the receipt of the message that the stream has: %v", err)
		}
	}
	// Update in place, at the revision that was read.
	want.Outcome = Warm
	if stands, won, err := s.write(ctx, testKey, want, h.rev); err != nil || !won || stands.Outcome != Warm {
		t.Error(stands.Outcome, won, err)
	}
	if err := rig.receipts.Delete(ctx, testKey); err != nil {
		t.Fatal(err)
	}
	if h, err := s.read(ctx, testKey, want); err != nil || h.rev != 0 || h.Final() {
		t.Errorf("after a deletion: %+v, %v", h, err)
	}
	if _, won, err := s.write(ctx, testKey, want, 0); err != nil || !won {
		t.Errorf("written again: %v, %v", won, err)
	}
}

// TestReceiptsTooLarge: a receipt that the server does not take must not hold
// its event up for ever.
func TestReceiptsTooLarge(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{
		"server": {maxPayload: 16 << 10},
		"bucket": {receipts: jetstream.KeyValueConfig{MaxValueSize: 16 << 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, s)
			r := testReceipt(Pending)
			for range prestage.MaxFailures {
				r.Failures = append(r.Failures, prestage.Failure{URI: strings.Repeat("\x01", 1024), Error: strings.Repeat("<", 1024)})
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stands, won, err := rig.lane.receipts.write(ctx, testKey, r, 0)
			if err != nil || !won {
				t.Fatal(won, err)
			}
			h, err := rig.lane.receipts.read(ctx, testKey, r)
			if n := len(h.Failures); err != nil || n == 0 || n == prestage.MaxFailures || n != len(stands.Failures) {
				t.Errorf("%d failures stored, %d said to be: %v", n, len(stands.Failures), err)
			}
			r.Busy = make(map[string]time.Time)
			for i := range 1000 {
				r.Busy[Hash(strconv.Itoa(i))] = r.StreamTime
			}
			if stands, won, err = rig.lane.receipts.write(ctx, testKey, r, h.rev); err != nil || !won || len(stands.Busy) != 0 {
				t.Errorf("%d busy objects stored: %v, %v", len(stands.Busy), won, err)
			}
			r.Failures, r.EventID = nil, strings.Repeat("e", 32<<10)
			if _, _, err := rig.lane.receipts.write(ctx, testKey, r, h.rev); err == nil || ctx.Err() != nil {
				t.Errorf("one that cannot be made smaller: %v", err)
			}
		})
	}
}

func TestReceiptsWaitForNATS(t *testing.T) {
	t.Parallel()
	rig := newRig(t, setup{})
	s, r := rig.lane.receipts, testReceipt(Warm)
	rig.srv.Stop()
	written := make(chan error, 1)
	go func() {
		_, won, err := s.write(t.Context(), testKey, r, 0)
		if err == nil && !won {
			err = errors.New("not won")
		}
		written <- err
	}()
	read := make(chan error, 1)
	go func() {
		_, err := s.read(t.Context(), testKey, r)
		read <- err
	}()
	eventually(t, "the outage is told", func() bool { return rig.log.has("nats does not answer") })
	select {
	case err := <-written:
		t.Fatalf("written without a server: %v", err)
	case err := <-read:
		t.Fatalf("read without a server: %v", err)
	default:
	}
	// One who stops waiting is let go, with the reason.
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancelled := make(chan error, 1)
	go func() {
		_, err := s.read(ctx, testKey, r)
		cancelled <- err
	}()
	cancel(why)
	if err := soon(t, "the end of a cancelled read", cancelled); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	rig.srv.Restart(t)
	if err := soon(t, "the write", written); err != nil {
		t.Error(err)
	}
	if err := soon(t, "the read", read); err != nil {
		t.Error(err)
	}
}
