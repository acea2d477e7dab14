//go:build !linux

package redistest

import "syscall"

// dieWithParent can only keep Ctrl-C in the terminal away from the child: other
// kernels have no parent-death signal, so a killed test binary leaves a server.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
