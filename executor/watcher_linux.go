package executor

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	// strayRounds bounds the hunt for processes that nobody announced.
	strayRounds = 25
	// strayPause lies between two rounds: a process between fork and exec does
	// not carry its environment yet.
	strayPause = 20 * time.Millisecond
)

// selfPath is the program of this process, also when its file was replaced or
// removed since.
func selfPath() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self, nil
	}
	return os.Executable()
}

// nameProcess gives the process a name in ps; it would be "exe".
func nameProcess() {
	_ = os.WriteFile("/proc/self/comm", []byte("carillon-watch"), 0)
}

// closeInherited closes what the node got from whoever started it and would
// hand down: somebody may wait for its end. What this process itself has open
// is marked to be closed at an exec, and so can be told apart.
func closeInherited() {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, file := range files {
		fd, err := strconv.Atoi(file.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			syscall.Close(fd)
		}
	}
}

// killBoot kills every process whose environment carries the boot id, until two
// rounds find none: commands that the node had started but not announced, and
// what left its process group. It returns how many processes it killed.
func killBoot(boot string) int {
	mark := []byte(bootVar + "=" + boot)
	killed := map[int]bool{}
	for round, quiet := 0, 0; round < strayRounds && quiet < 2; round++ {
		quiet++
		for pid := range processes() {
			if pid != os.Getpid() && carries(pid, mark) {
				syscall.Kill(pid, syscall.SIGKILL)
				killed[pid] = true
				quiet = 0
			}
		}
		time.Sleep(strayPause)
	}
	return len(killed)
}

// strays are the processes of an attempt that live although its group was killed: they
// have left it on purpose. It looks a few times, because the killed need a moment to go.
func strays(boot, run string) (pids []int) {
	marks := [][]byte{[]byte(bootVar + "=" + boot), []byte(runVar + "=" + run)}
	for range 5 {
		pids = nil
		for pid := range processes() {
			if carries(pid, marks[0]) && carries(pid, marks[1]) {
				pids = append(pids, pid)
			}
		}
		if len(pids) == 0 {
			break
		}
		time.Sleep(strayPause)
	}
	slices.Sort(pids)
	return pids
}

// carries reports whether the environment of a process has the entry. That of a
// dead process is empty.
func carries(pid int, entry []byte) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for len(env) > 0 {
		var kv []byte
		kv, env, _ = bytes.Cut(env, []byte{0})
		if bytes.Equal(kv, entry) {
			return true
		}
	}
	return false
}
