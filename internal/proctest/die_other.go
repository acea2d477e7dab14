//go:build !linux

package proctest

import "syscall"

// dieWithParent can only keep Ctrl-C in the terminal away from the child.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
