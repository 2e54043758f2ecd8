package main

import (
	"os"
	"strconv"
	"syscall"
)

// lastPriority is the lowest that Linux has.
const lastPriority = 19

// stepBack gives this process's processors to whoever else wants them. Priorities
// are those of threads on Linux; a new one has that of the thread which made it.
func stepBack() {
	for range 2 { // one may be made meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, lastPriority)
			}
		}
	}
}
