package lotasim

import "time"

// Timing is the model of time. A duration of 0 adds nothing, a rate of 0 is
// unlimited. Rates are bytes per second.
type Timing struct {
	Metadata         time.Duration // every HEAD: authorisation and metadata
	BackendFirstByte time.Duration // GET that is not a hit, and every fill
	BackendRate      int64
	CacheFirstByte   time.Duration // GET that is a hit
	CacheRate        int64
	FillRate         int64 // from the backend into the cache
}

// fill is how long it takes to bring the first n bytes into the cache.
func (t Timing) fill(n int64) time.Duration {
	return t.BackendFirstByte + transfer(n, t.FillRate)
}

// transfer is how long n bytes take at rate bytes per second.
func transfer(n, rate int64) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}
