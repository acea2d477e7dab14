//go:build unix && !linux

package executor

import "syscall"

// handle is nothing where the kernel has no descriptors of processes.
type handle struct{}

// attributes start a command as the leader of a process group of its own.
func (*handle) attributes(ids *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: ids}
}

// awaitExit returns when the process has exited and leaves it unreaped: until
// it is reaped its id, which is its group's, cannot be given to another. Where
// the kernel refuses to watch a process, that process has exited.
func (*handle) awaitExit(pid int) {
	kq, err := syscall.Kqueue()
	if err != nil {
		return
	}
	defer syscall.Close(kq)
	var exit [1]syscall.Kevent_t
	syscall.SetKevent(&exit[0], pid, syscall.EVFILT_PROC, syscall.EV_ADD|syscall.EV_ONESHOT)
	exit[0].Fflags = syscall.NOTE_EXIT
	var got [1]syscall.Kevent_t
	_, err = syscall.Kevent(kq, exit[:], got[:], nil)
	for err == syscall.EINTR {
		_, err = syscall.Kevent(kq, nil, got[:], nil)
	}
}

// populated reports whether a process of the group lives. These kernels refuse
// a signal to a group of which only the unreaped leader is left.
func populated(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }
