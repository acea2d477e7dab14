//go:build race

package jobs

// raced: the race detector is on, and what only computes takes ten times as long.
const raced = true

// slack is how much longer than a test says it may then take, beside others that go first:
// what it keeps in bounds would take hours.
const slack = 5
