package dedupe

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/persist"
)

// Watch calls visit with the record of ref, nil when there is none, and with every
// one that replaces it, until it returns true or an error. It does not poll.
// Records that cannot be read count as none.
func (k *KV) Watch(ctx context.Context, ref object.Ref, visit func(*Entry) (done bool, err error)) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	told := false
	return persist.Watch(ctx, k.kv, k.key(ref), func(kve jetstream.KeyValueEntry) (bool, error) {
		if kve == nil { // that is all there was
			if told {
				return false, nil
			}
			return visit(nil)
		}
		e, err := unmarshal(kve.Value(), ref)
		if err != nil {
			return false, nil
		}
		told = true
		return visit(&e)
	})
}
