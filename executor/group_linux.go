package executor

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// waitid's ways to name a process.
const (
	idPid   = 1
	idPidfd = 3
)

// handle is the kernel's descriptor of a process, -1 where it gives none.
type handle struct{ fd int }

// attributes start a command as the leader of a process group of its own.
func (h *handle) attributes(ids *syscall.Credential) *syscall.SysProcAttr {
	h.fd = -1
	return &syscall.SysProcAttr{Setpgid: true, Credential: ids, PidFD: &h.fd}
}

// awaitExit returns when the process has exited and leaves it unreaped: until
// it is reaped its id, which is its group's, cannot be given to another. With a
// descriptor the wait costs no thread.
func (h *handle) awaitExit(pid int) {
	if h.fd < 0 || !awaitReadable(h.fd) {
		for exited(idPid, pid, 0) == syscall.EINTR {
		}
	}
}

// awaitReadable waits in Go's poller, and reports whether that was possible. It
// closes fd.
func awaitReadable(fd int) bool {
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return false
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var last error
	err = conn.Read(func(fd uintptr) bool {
		last = exited(idPidfd, int(fd), syscall.WNOHANG)
		return last != syscall.EAGAIN && last != syscall.EINTR
	})
	return err == nil && last == nil
}

// exited asks waitid for an exit without taking it. EAGAIN means not yet.
func exited(kind, id, flags int) error {
	var info [128]byte // siginfo_t; its first int is the signal number, 0 for none
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, uintptr(kind), uintptr(id),
		uintptr(unsafe.Pointer(&info)), uintptr(flags|syscall.WEXITED|syscall.WNOWAIT), 0, 0)
	runtime.KeepAlive(&info)
	if errno != 0 {
		return errno
	}
	if *(*int32)(unsafe.Pointer(&info)) == 0 {
		return syscall.EAGAIN
	}
	return nil
}

// populated reports whether a process of the group lives; one that exited and
// waits to be reaped does not count.
func populated(pgid int) bool {
	for pid := range processes() {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		// "pid (name) state ppid pgrp ...", and the name may contain anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 3 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		if string(fields[2]) == strconv.Itoa(pgid) {
			return true
		}
	}
	return false
}

// processes yields the ids of all processes this one can see.
func processes() func(yield func(pid int) bool) {
	return func(yield func(pid int) bool) {
		dir, err := os.Open("/proc")
		if err != nil {
			return
		}
		defer dir.Close()
		names, _ := dir.Readdirnames(-1)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && !yield(pid) {
				return
			}
		}
	}
}
