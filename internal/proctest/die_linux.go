package proctest

import "syscall"

// dieWithParent makes the kernel kill the child when the test binary is gone.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
