package prestage

import "container/list"

// queue holds those who wait with one priority. Buckets are served in turn, in a
// bucket its flows, and in a flow its waiters in order.
type queue struct {
	buckets rotation[string, *flows]
}

type flows struct {
	rotation[*Flow, *list.List] // of *waiter
}

// waiter is somebody who waits for a permit.
type waiter struct {
	flow     *Flow
	bucket   string
	priority Priority
	place    *list.Element // in its flow's list
	turn     chan struct{} // closed when it has come
}

func (q *queue) empty() bool { return q.buckets.empty() }

func (q *queue) push(w *waiter) {
	in := q.buckets.get(w.bucket, func() *flows { return new(flows) })
	w.place = in.get(w.flow, list.New).PushBack(w)
}

// pop takes out whose turn it is.
func (q *queue) pop() *waiter {
	w := q.buckets.next().next().Front().Value.(*waiter) //nolint:forcetypeassert // the list holds nothing else
	q.drop(w)
	return w
}

// drop takes a waiter out.
func (q *queue) drop(w *waiter) {
	in := q.buckets.get(w.bucket, nil)
	waiters := in.get(w.flow, nil)
	waiters.Remove(w.place)
	if waiters.Len() > 0 {
		return
	}
	in.remove(w.flow)
	if in.empty() {
		q.buckets.remove(w.bucket)
	}
}

// rotation serves values in turn. It holds only those that have something to
// serve. The zero value is empty.
type rotation[K comparable, V any] struct {
	order list.List // of V, the next to be served first
	at    map[K]*list.Element
}

// get returns the value of key. Where there is none, what value makes comes last.
func (r *rotation[K, V]) get(key K, value func() V) V {
	e, ok := r.at[key]
	if !ok {
		if r.at == nil {
			r.at = make(map[K]*list.Element)
		}
		e = r.order.PushBack(value())
		r.at[key] = e
	}
	return e.Value.(V) //nolint:forcetypeassert // the list holds nothing else
}

// next returns the value whose turn it is. Its turn after that comes after all
// others'.
func (r *rotation[K, V]) next() V {
	e := r.order.Front()
	r.order.MoveToBack(e)
	return e.Value.(V) //nolint:forcetypeassert // likewise
}

func (r *rotation[K, V]) remove(key K) {
	r.order.Remove(r.at[key])
	delete(r.at, key)
}

func (r *rotation[K, V]) empty() bool { return r.order.Len() == 0 }
