//go:build race

package sim

// raced: the race detector is on, and everything takes ten times as long.
const raced = true
