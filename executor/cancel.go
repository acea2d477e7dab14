package executor

import "context"

// Cancel ends the attempt of a run that somebody called off, if it is on this
// node. The steps of a run are canceled, never its rollback: that one is being
// undone already. What had succeeded when the word came stays so.
func (e *Executor) Cancel(runID string) {
	for _, a := range e.board.attempts() {
		if a.claim.RunID == runID {
			e.callOff(a)
		}
	}
}

func (e *Executor) callOff(a *attempt) {
	if a.claim.Undoing || a.ctx.Err() != nil {
		return
	}
	e.log.Info("somebody called this run off: ending it", "run", a.claim.RunID, "attempt", a.claim.Attempt)
	a.cancel(ErrCanceled)
}

// heedCancels ends what somebody called off. A word that does not come is made
// good by the next renewal.
func (e *Executor) heedCancels(ctx context.Context) {
	words := e.store.Cancels()
	for {
		select {
		case <-ctx.Done():
			return
		case runID, more := <-words:
			if !more {
				return
			}
			e.Cancel(runID)
		}
	}
}
