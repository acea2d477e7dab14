package jobs

import "time"

// BackfillReply is what became of a request to run past ticks after all. With
// Undecided, TooOld or Full nothing was queued.
type BackfillReply struct {
	Queued int // ticks that will run
	Ran    int // ticks that ran before, or wait already

	Undecided time.Time // the cursor: a tick after it is not decided yet
	TooOld    bool      // the ledger no longer says whether a tick ran
	Oldest    time.Time // with TooOld: where the ledger begins; zero when it is empty
	Full      int       // so many may wait at most
}
