// Package jobs holds the values of carillon: the schedule file and what it
// declares, the ticks of an expression, and the states of a run.
//
// # What is not promised
//
// Nothing in here runs, waits, dials or writes. A job is data: reading a file
// does not look whether its commands exist, its hosts resolve or its users are
// known, because the node that reads it is often not the node that runs it. A
// func: is checked for its form; whether a handler has that name is for the
// program that embeds carillon to say. A digest tells two definitions apart;
// it is not a signature.
//
// # The schedule file
//
// [Load] and [Parse] are strict. An unknown key, a duplicate, a value of the
// wrong kind, an expression that can never fire: each is a [Problem] with its
// line, column and job, and all problems of a file come back at once in a
// [FileError]. What comes back without an error is complete: every default is
// filled in (newJob is the one place that knows them), every relation holds,
// and nothing changes it afterwards.
//
// Values are taken as they were written, not as YAML would convert them. Where
// people and YAML disagree (010, yes, 10 without a unit, an expression without
// quotes) the answer is an error that says what to write. Anchors, aliases and
// merge keys work; what they expand to is bounded.
//
// The files, in the order of reading: syntax.go makes nodes of text, decode.go
// walks them, scalars.go reads single values, file.go, fields.go,
// fields_http.go and fields_params.go know the keys, hints.go guesses what was
// meant.
//
// # Digests
//
// Three hashes, of meaning and not of layout. [Job.Digest] covers what an
// attempt executes and how it is retried: a run carries it, so that a node with
// another definition hands the run back. [Job.Timing] covers when the job
// fires: its cursor carries it, so that a changed expression begins now instead
// of catching up on ticks that never were. [Schedule.Digest] covers all jobs
// and, beyond these two, catch-up, overlap, priority and description: two nodes
// with the same one behave the same.
//
// # Ticks
//
// A [Spec] is an expression in a zone. Next times are computed from the civil
// calendar, with one rule for the hours that daylight saving removes or
// repeats; see [ParseSpec].
package jobs
