//go:build unix && !linux

package executor

import "os"

// selfPath is the program of this process.
func selfPath() (string, error) { return os.Executable() }

// nameProcess does nothing where a process has no name of its own.
func nameProcess() {}

// closeInherited does nothing where a process cannot list what it has open.
func closeInherited() {}

// killBoot finds nothing where the environment of other processes cannot be
// read: what left its process group lives on there.
func killBoot(string) int { return 0 }

// strays finds nothing either.
func strays(_, _ string) []int { return nil }
