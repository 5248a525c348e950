package main

import (
	"slices"
	"sync"
	"syscall"
	"time"
)

// spread holds what was measured; safe for use by many.
type spread struct {
	mutex  sync.Mutex
	values []time.Duration
}

func (s *spread) add(values ...time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.values = append(s.values, values...)
}

type quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// milliseconds gives the quantiles by nearest rank.
func (s *spread) milliseconds() quantiles {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count := len(s.values)
	if count == 0 {
		return quantiles{}
	}
	slices.Sort(s.values)
	at := func(share float64) float64 {
		rank := min(int(share*float64(count)), count-1)
		return float64(s.values[rank]) / float64(time.Millisecond)
	}
	return quantiles{count, at(0.50), at(0.99), at(1)}
}

// ownCPU is the CPU time that this process has used, in seconds.
func ownCPU() float64 {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Seconds()
}
