// Package forecast says what will fire, before it fires.
//
// A schedule file is a promise about times that have not come yet, and most of
// its surprises are visible in advance: the job that a change of the clocks
// moves, the backlog that a node would work off after a long weekend, the ticks
// that an edit adds without anybody meaning it. This package answers such
// questions from values alone. It reads no clock, no file and no Redis; the
// caller brings the jobs and the moment.
//
// # What is not promised
//
// That it comes so. A forecast knows the file, not the fleet: not which runs
// are unfinished, how long a run will take, which jobs somebody has paused, and
// not that the leader computes with the same file and the same zones. Where an
// answer rests on such an assumption, the function says which one it makes.
//
// Nor is anything decided here. What becomes of a late tick is asked of
// scheduler.Due, the very function that a leader asks, and what the next tick is
// of jobs.Job.Next; what is said here of overlapping runs follows
// internal/redisstore/lua/commit.lua, and a test in e2e holds the two together.
//
// # What there is
//
// Merge is the next ticks of many jobs in the order of time. Late is what a
// node that starts after an outage would run, skip and miss, and why. Compare is
// which ticks an edit of the file adds, removes and moves. Density is how many
// runs start in each minute, who would do better with H, and, when durations are
// known, how many run at once.
package forecast
