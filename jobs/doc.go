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
// walks them, aliases.go follows what they name, scalars.go reads single values.
// The keys are known to file.go and fields.go, and one file each for what several
// places have in common (fields_action.go, fields_http.go, fields_retry.go) or what
// has rules of its own (fields_steps.go, fields_after.go, fields_route.go,
// fields_params.go, fields_secrets.go, fields_time.go with fields_time_check.go,
// fields_calendars.go). hints.go guesses what was meant. A long file is parsed and
// read on two cores (syntax_halves.go, halves.go).
//
// # Secrets
//
// A file says where a node finds a secret, never the secret. Because somebody
// will write one in all the same, no message about a secret repeats a value.
//
// # Digests
//
// Three hashes, of meaning and not of layout. [Job.Digest] covers what an
// attempt executes and what decides its course on the node: a run carries it,
// so that a node with another definition hands the run back. [Job.Timing]
// covers when the job fires: its cursor carries it, so that a changed expression
// begins now instead of catching up on ticks that never were. [Schedule.Digest]
// covers all jobs and, beyond these two, what the leader does with them: two
// nodes with the same one behave the same. A key that is new is in no digest of
// a job that does without it.
//
// # States
//
// A run's [State] moves along one table. docs/states.md draws it.
//
// # Zones
//
// A tick follows from the expression and a database of time zones. [EmbeddedZones]
// is part of the program and the same on every host; [HostZones] is what the host
// has installed. A [Schedule] says which of the two it was read with.
//
// # Ticks
//
// A [Spec] is an expression in a zone, with what bends it. Next times are computed
// from the civil calendar, with one rule for the hours that daylight saving removes
// or repeats; see [NewSpec]. docs/schedule.md is the language for those who write it.
//
// The files, from the text to the tick: spec.go and grammar.go read an expression,
// hash.go chooses what H stands for. civil.go counts dates, days.go knows L, W and #,
// filter.go the days that calendars (calendar.go, dayset.go, ics.go) and every_n
// leave, zone.go what the clocks of a zone show (its data come from zones.go). next.go
// puts them together; jitter.go moves starts. mark.go sets the ticks of a stretch of
// time in one go, for those who count them.
//
// Beside the ticks stand words about them: notes.go (this tick), explain*.go (the
// expression) and lint*.go (what is legal and surprising).
package jobs
