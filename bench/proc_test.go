package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpuOf is the processor time a process has used, from /proc: to 10 ms.
func cpuOf(b testing.TB, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(b, err)
	// Past the name, which may hold anything: state is field 3, utime 14, stime 15.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	check(b, err)
	system, err := strconv.Atoi(fields[12])
	check(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

var memoryLine = regexp.MustCompile(`(?m)^(VmRSS|VmHWM):\s*(\d+) kB$`)

// memoryOf is the memory a process holds now, and the most it ever held, in MiB.
func memoryOf(b testing.TB, pid int) (rss, hwm float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(b, err)
	for _, m := range memoryLine.FindAllStringSubmatch(string(text), -1) {
		kib, _ := strconv.ParseFloat(m[2], 64)
		if m[1] == "VmRSS" {
			rss = kib / 1024
		} else {
			hwm = kib / 1024
		}
	}
	return rss, hwm
}

// childrenOf is the processes that a process has started: a node's watcher.
func childrenOf(b testing.TB, pid int) (pids []int) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	check(b, err)
	for _, file := range files {
		text, _ := os.ReadFile(file) // a thread may have ended since
		for _, f := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// machine is the time that the cores of this machine were idle, and all of their
// time, in ticks of 10 ms.
func machine() (idle, all int) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, _ := strconv.Atoi(f)
		if i < 8 { // what follows is in user and nice already
			all += n
		}
		if i == 3 || i == 4 { // idle, waiting for a disk
			idle += n
		}
	}
	return idle, all
}

// ownCPU is the processor time this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
