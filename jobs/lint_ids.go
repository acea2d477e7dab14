package jobs

// lintIDs are the warnings that can be silenced, by the id that each is given with.
func lintIDs() []string {
	return []string{
		"crowded-minute", "daily-without-zone", "dom-and-dow", "dst-touches", "never-again", "over",
		"timeout-exceeds-interval", "uneven-step",
	}
}
