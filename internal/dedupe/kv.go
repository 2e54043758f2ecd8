package dedupe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/persist"
)

// Counter counts, as a Prometheus counter does.
type Counter interface{ Inc() }

// KVOptions are what a KV reports to and asks; all are optional.
type KVOptions struct {
	Logger  *slog.Logger
	GivenUp Counter      // of records that the bucket had no room for
	Conn    persist.Conn // tells whether trying makes sense; else JetStream's connection does, after a while
}

// KV is the Ledger of one cluster in a JetStream KV bucket. It keeps no
// goroutines but those of the writes under way.
type KV struct {
	kv      jetstream.KeyValue
	cluster string
	opts    KVOptions
	slots   chan struct{} // one for each write under way

	retry      *persist.Retrier
	unreadable onceEach
	full       persist.EveryMinute
}

// NewKV returns the ledger of cluster, which is one token of a NATS subject, in
// the bucket kv of js. The bucket may go and come back: it is waited for.
func NewKV(js jetstream.JetStream, kv jetstream.KeyValue, cluster string, opts KVOptions) *KV {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.GivenUp == nil {
		opts.GivenUp = discard{}
	}
	if opts.Conn == nil {
		opts.Conn = js.Conn()
	}
	return &KV{
		retry:   persist.New(opts.Conn, "ledger", opts.Logger),
		kv:      kv,
		cluster: cluster,
		opts:    opts,
		slots:   make(chan struct{}, MaxUnconfirmed),
	}
}

type discard struct{}

func (discard) Inc() {}

// Get implements Ledger. A value that cannot be read counts as none; the
// revision is given all the same, so that Put replaces it.
func (k *KV) Get(ctx context.Context, ref object.Ref) (Record, error) {
	if err := checkRef(ref); err != nil {
		return Record{}, err
	}
	var s stored
	err := k.retry.Do(ctx, func(ctx context.Context) error {
		var err error
		s, err = k.read(ctx, ref)
		return err
	})
	switch {
	case err != nil:
		return Record{}, err
	case !s.readable:
		return Record{Revision: s.Revision}, ErrNotFound
	}
	return s.Record, nil
}

// Put implements Ledger.
func (k *KV) Put(ctx context.Context, e Entry, prev uint64, done func(error)) {
	if err := checkRef(e.Ref); err != nil {
		go done(err)
		return
	}
	select {
	case k.slots <- struct{}{}:
	case <-ctx.Done():
		go done(ctx.Err())
		return
	}
	go func() {
		err := k.put(ctx, e, prev)
		<-k.slots // first, so that done may wait for another Put
		done(err)
	}()
}

// put writes until the write is confirmed or not needed any more. A write whose
// confirmation was lost conflicts with itself and is found to be done.
func (k *KV) put(ctx context.Context, e Entry, prev uint64) error {
	data, err := marshal(e)
	switch {
	case err != nil:
		k.giveUp(ctx, e.Ref, err)
		return nil
	case len(data) > MaxValueBytes:
		k.giveUp(ctx, e.Ref, fmt.Errorf("record of %d bytes: at most %d are kept", len(data), MaxValueBytes))
		return nil
	}
	var refused int
	return k.retry.Do(ctx, func(ctx context.Context) error {
		err := k.write(ctx, e.Ref, data, prev)
		switch {
		case err == nil:
			return nil
		case persist.Full(err):
			// A store that is being closed refuses with the code of one that is
			// full; but not twice, as then its server is gone.
			if refused++; refused < 2 {
				return persist.ErrAgain
			}
			k.giveUp(ctx, e.Ref, err)
			return nil
		case persist.TooLarge(err):
			k.giveUp(ctx, e.Ref, err)
			return nil
		case !persist.Conflict(err):
			return err
		}
		s, err := k.read(ctx, e.Ref)
		switch {
		case err != nil:
			return err
		case bytes.Equal(s.data, data):
			return nil
		case s.readable && keeps(s.Entry, e):
			return nil
		}
		prev = s.Revision
		return persist.ErrAgain
	})
}

// key is where the record of ref is: <cluster>.<bucket>.<h(key)>. Object keys
// are hashed because NATS allows few characters in a subject and bounds its
// length; a bucket's name is legal in one as it is.
func (k *KV) key(ref object.Ref) string {
	h := sha256.Sum256([]byte(ref.Key))
	return k.cluster + "." + ref.Bucket + "." + hex.EncodeToString(h[:])
}

// stored is what a key holds: the zero value when it holds nothing.
type stored struct {
	Record
	readable bool
	data     []byte
}

func (k *KV) read(ctx context.Context, ref object.Ref) (stored, error) {
	kve, err := k.kv.Get(ctx, k.key(ref))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound): // also for a deleted or expired one
		return stored{}, nil
	case err != nil:
		return stored{}, fmt.Errorf("read record: %w", err)
	}
	s := stored{Record: Record{Revision: kve.Revision()}, data: kve.Value()}
	e, err := unmarshal(s.data, ref)
	if err != nil {
		if k.unreadable.first(kve.Key()) {
			k.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "ledger record cannot be read, taken for none until it is replaced",
				slog.String("uri", ref.String()), slog.String("key", kve.Key()),
				slog.Uint64("revision", s.Revision), slog.Any("error", err))
		}
		return s, nil
	}
	s.Entry, s.readable = e, true
	return s, nil
}

// write replaces revision prev. Create rather than Update stands for "none",
// because it sees through the markers that deletions leave.
func (k *KV) write(ctx context.Context, ref object.Ref, data []byte, prev uint64) error {
	var err error
	if prev == 0 {
		_, err = k.kv.Create(ctx, k.key(ref), data)
	} else {
		_, err = k.kv.Update(ctx, k.key(ref), data, prev)
	}
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

func (k *KV) giveUp(ctx context.Context, ref object.Ref, err error) {
	k.opts.GivenUp.Inc()
	if k.full.Now() {
		k.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "ledger has no room for a record, going on without it",
			slog.String("uri", ref.String()), slog.Any("error", err))
	}
}
