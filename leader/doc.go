// Package leader decides which node may lead, and for how long that node may
// believe it.
//
// # What is not promised
//
// It is not promised that there is only one leader. A node that is stopped
// between looking at its watch and sending a command leads, for that one
// command, beside its successor; no lock in any store can prevent it. So the
// lock is for efficiency: it keeps the others from doing the same work. What
// keeps the data right is the token: every script that writes for the leader
// names its term's token and is refused unless the lock holds exactly that
// token at that moment. An epoch is given out with each term, but only for
// people and logs to order terms by; nothing is decided by comparing epochs.
//
// Nor is it promised that somebody leads. While Redis is away nobody does, and
// the electors wait for it, for ever, without giving up.
//
// # Authority
//
// The authority is one key, the lock, on the same Redis as the data it guards.
// Its value is the term's token, node:boot:counter, which never repeats. It
// expires TTL after it was last renewed. Who can make it hold their token leads.
//
// Trust is what a leader believes about that key without looking: it has the
// lock from the moment it *began* the last attempt that succeeded, because the
// store cannot have started counting earlier, for TTL less an allowance for
// clocks that run at different speeds (1 % and 5 ms). It is counted on the
// monotonic clock and on the wall clock, and the stricter one wins: the
// monotonic clock stands still while a machine is suspended, the wall clock can
// be set back. When the two disagree by more than 2 s the machine slept or its
// clock was moved, and trust is over.
//
// # Quorum
//
// With a Quorum the lock is on several Redises that know nothing of each other,
// and who has it on most of them has won. The authority is still one key on the
// Redis of the data: the winner installs its token there, with an epoch that is
// above those of all earlier winners, and the store takes no other. The lock
// decides who may install; what the scripts check decides what is written. So the
// quorum may forget, disagree or be named differently on two nodes, and still one
// token is accepted at a time, and none that has been displaced.
//
// A term has both or it is over: they are renewed together. docs/adr/0015 says how
// the epoch is made, and where its order ends.
//
// # States
//
//	follow   look who holds the seat; sleep until it may be free, or until the
//	         hint comes that it is; try to take it only then
//	lead     run the caller's lead function with a context that ends with the
//	         trust; renew every TTL/3
//	join     the context has ended; give lead a moment to return
//	resign   give the lock back and tell the others, then wait for lead to be
//	         gone, then follow again
//
// One goroutine, the one in Run, walks through them and is the only one to
// touch the lock. Being leader means being inside lead; there is no flag to
// consult. Lead's context ends with a cause: ErrLost, ErrTrustExpired or
// ErrClockJumped, or the cause of Run's own context.
//
// Resigning does not wait for lead to return (only a tenth of a second, so that
// a commit in flight is not refused for nothing): once the lock is released
// the scripts refuse the old token, so whatever lead still sends changes
// nothing, and the successor need not wait for it. But no new term begins in
// this process, and Run does not return, before lead has.
//
// # Yielding
//
// An elector may be given a function that names another node which should lead
// instead, Config.Yield. A follower for which it does leaves the seat vacant and
// looks again soon, a leader resigns. This package knows no reasons, and keeps
// no time but one: since when the seat has been vacant, not counting terms that
// were over within a TTL. The function must end its patience by it, or the seat
// could stay empty.
//
// # Renewal
//
// A renewal answers one of three things, and they are kept apart. Held: trust
// starts again at the start of the attempt. Lost: the lock expired, or holds
// another token; the term is over at once, and never taken up again, even if
// the seat is still free, because what happened in between is unknown. No
// answer: nothing is known, so it is asked again every TTL/6 until trust runs
// out by itself.
//
// # Failure story
//
//	a leader resigns (SIGTERM)     the others are told; successor within 0.1 s or so
//	the hint is lost               they look once a second
//	a leader is killed             the lock expires; successor within TTL + 0.1 s
//	a leader is stopped, resumed   as killed; on waking its context ends before
//	                               anything else runs long, its scripts are refused
//	a leader is cut off            steps down by its own clock before the lock expires
//	Redis is restarted empty       the next renewal says lost: at most TTL/3 later
//	                               someone is elected, with a higher epoch
//	Redis answers nobody           the leader steps down when trust ends; all wait
//	the reply to taking the lock   the lock holds a token of ours that nobody leads
//	is lost                        with; its owner sees it when it looks and frees it
//	another node should lead       the leader resigns within 2 s, the followers that
//	instead                        should not lead leave the seat to it
//	some lock Redises are away     with less than half of them nothing; else nobody
//	                               leads until enough are back
//	a lock Redis comes back empty  it is locked again with the next renewal
//	a winner of the lock installs  refused: a later one is installed, and most locks
//	itself late                    are not its own any more
//	lead hangs                     the lock is renewed all the same: this package does
//	                               not know. When somebody else takes the lock away,
//	                               the seat is lost, and this node stands for no
//	                               election until lead has returned (Hangs)
//	lead fails                     the seat is given up, and this node waits up to a
//	                               second so that another one may try
package leader
