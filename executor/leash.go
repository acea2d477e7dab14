package executor

import "time"

type leashes struct{}

func (l *leashes) extend(deadline time.Time, tokens []string) {}
func (l *leashes) kill(tokens []string)                       {}
func (l *leashes) close()                                     {}
