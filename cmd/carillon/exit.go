package main

import (
	"errors"
	"fmt"

	"carillon/jobs"
)

// exitCode is how the process ends. The numbers are a documented contract:
// scripts branch on them.
type exitCode int

const (
	exitOK          exitCode = 0
	exitOther       exitCode = 1
	exitUsage       exitCode = 2   // unknown flag, command or argument
	exitSchedule    exitCode = 3   // the schedule file, or an expression, is bad
	exitNotFound    exitCode = 4   // no such job or run
	exitNoRedis     exitCode = 5   // Redis does not answer, or refuses the credentials
	exitRunFailed   exitCode = 6   // the run that was waited for failed
	exitTimeout     exitCode = 7   // the wait ended before the run did
	exitRefused     exitCode = 8   // a rule of the job said no
	exitInterrupted exitCode = 130 // Ctrl-C
)

// exitNames are the words for the codes, as they stand in JSON errors.
var exitNames = map[exitCode]string{
	exitOK:          "ok",
	exitOther:       "error",
	exitUsage:       "usage",
	exitSchedule:    "bad_schedule",
	exitNotFound:    "not_found",
	exitNoRedis:     "no_redis",
	exitRunFailed:   "run_failed",
	exitTimeout:     "timeout",
	exitRefused:     "refused",
	exitInterrupted: "interrupted",
}

// exitHelp is the paragraph of `carillon --help` about exit codes.
const exitHelp = `  0 ok            1 other error    2 usage           3 bad schedule   4 not found
  5 no Redis      6 the run failed 7 wait timed out  8 refused      130 interrupted`

func (c exitCode) String() string { return exitNames[c] }

// exitError is an error that knows how the process should end.
type exitError struct {
	code     exitCode
	err      error
	problems []jobs.Problem // of a schedule file
	hint     string         // a second line: what to type next
	said     bool           // the user has read it already; only the code is left
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// fail makes an exitError from a format, as fmt.Errorf does.
func fail(code exitCode, format string, args ...any) *exitError {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

func (e *exitError) withHint(format string, args ...any) *exitError {
	e.hint = fmt.Sprintf(format, args...)
	return e
}

// ended makes an exitError whose words are already on the screen.
func ended(code exitCode, format string, args ...any) *exitError {
	e := fail(code, format, args...)
	e.said = true
	return e
}

// codeOf returns how the process should end after err.
func codeOf(err error) exitCode {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	default:
		return exitOther
	}
}
