// Command witness is what the jobs of the storm execute: it says on disk, outside of
// Redis, that it began and that it ended, and makes the disk keep each line.
//
//	witness DIR [take=DURATION] [fail=always|first|STEP] [alone] [undo]
//
// It appends to DIR/witness-NODE, one line and one fsync for each event:
//
//	begin RUN ATTEMPT PID NODE BOOT STEP KIND NANOSECONDS BESIDE
//	end   RUN ATTEMPT PID NODE BOOT STEP KIND NANOSECONDS OUTCOME
//
// BESIDE is how it knows that it is not alone, without asking anybody: it holds a lock
// on one byte of DIR/locks that belongs to its run (with alone, on another one that
// belongs to its job), and the kernel takes the lock away when it is dead and not
// before. A lock that is taken is another attempt of the same run that lives.
package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// failed is the exit code of a failure that was asked for.
const failed = 9

func main() {
	code, err := witness(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func witness(args []string) (code int, err error) {
	if len(args) == 0 {
		return 0, fmt.Errorf("expected a folder")
	}
	dir, kind, alone := args[0], "run", false
	var take time.Duration
	var fail string
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "take":
			if take, err = time.ParseDuration(value); err != nil {
				return 0, err
			}
		case "fail":
			fail = value
		case "alone":
			alone = true
		case "undo":
			kind = "undo"
		default:
			return 0, fmt.Errorf("unknown word %q", arg)
		}
	}
	run, attempt, step := os.Getenv("CARILLON_RUN_ID"), os.Getenv("CARILLON_ATTEMPT"), os.Getenv("CARILLON_STEP")
	locks, err := os.OpenFile(filepath.Join(dir, "locks"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	defer locks.Close() // which lets go of all of them
	beside := "-"
	if !hold(locks, run) {
		beside = "run"
	}
	if alone && !hold(locks, os.Getenv("CARILLON_JOB")) {
		beside = "job"
	}
	node := os.Getenv("CARILLON_NODE")
	file, err := os.OpenFile(filepath.Join(dir, "witness-"+node), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	say := func(event, last string) error {
		line := fmt.Sprintln(event, run, attempt, os.Getpid(), node, os.Getenv("CARILLON_BOOT"), step, kind, time.Now().UnixNano(), last)
		if _, err := io.WriteString(file, line); err != nil {
			return err
		}
		return file.Sync()
	}
	if err := say("begin", beside); err != nil {
		return 0, err
	}
	time.Sleep(take)
	if fail == "always" || fail == "first" && attempt == "1" || fail == step {
		return failed, say("end", "failed")
	}
	return 0, say("end", "ok")
}

// hold takes the lock of one name, and says whether it was free.
func hold(locks *os.File, name string) bool {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name) // a hash takes everything
	at := int64(h.Sum64() >> 2)
	return syscall.FcntlFlock(locks.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}) == nil
}
