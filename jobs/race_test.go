//go:build race

package jobs

// raced: the race detector is on, and what only computes takes ten times as long.
const raced = true
