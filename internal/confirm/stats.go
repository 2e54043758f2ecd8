package confirm

import "slices"

// ring keeps the newest values, in no particular order.
type ring[T any] struct {
	values []T
	next   int
}

// add keeps v, in place of the oldest once there are limit of them.
func (r *ring[T]) add(limit int, v T) {
	if len(r.values) < limit {
		r.values = append(r.values, v)
		return
	}
	r.values[r.next] = v
	r.next = (r.next + 1) % limit
}

// newest are the last n values, in no particular order.
func (r *ring[T]) newest(n int) []T {
	out := make([]T, 0, n)
	for i := range min(n, len(r.values)) {
		out = append(out, r.values[(r.next-1-i+2*len(r.values))%len(r.values)])
	}
	return out
}

// median of f over values, NaN without any.
func median[T any](values []T, f func(T) float64) float64 {
	of := make([]float64, len(values))
	for i, v := range values {
		of[i] = f(v)
	}
	return middle(of)
}

// middle sorts values and returns their median, 0 without any.
func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// studentT is the t-value that a variable of df degrees of freedom falls below
// -t with the probability of a normal one to fall below -z (Cornish-Fisher
// expansion; the error is below 1 % for z up to 3.3 and df from 8).
func studentT(z, df float64) float64 {
	z3, z5, z7 := z*z*z, z*z*z*z*z, z*z*z*z*z*z*z
	return z + (z3+z)/(4*df) + (5*z5+16*z3+3*z)/(96*df*df) + (3*z7+19*z5+17*z3-15*z)/(384*df*df*df)
}
