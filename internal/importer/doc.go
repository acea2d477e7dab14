// Package importer reads what other schedulers run by and writes a schedule
// file of it: crontabs, the jobs of Dkron, the CronJobs of Kubernetes.
//
// # What is not promised
//
// An import is a beginning, not a bridge: nothing is kept in step afterwards. It
// does not look at the host, so it knows neither its time zone nor its users nor
// what is installed there. An image of Kubernetes is not run.
//
// # What is promised
//
//   - What is written is a schedule that jobs.Parse accepts; it is asked each time.
//   - A job that is written fires when its source would have fired it. Where the
//     same text means something else there (a day field "*/2" of Kubernetes, a
//     "~" of Dkron), other text is written that means the same here. An expression
//     whose meaning is in doubt is left out.
//   - Nothing is dropped without a word: each thing that is not the same
//     afterwards is a Complaint with its line, and entries that are left out stand
//     as comments at the end of the file.
//   - The same input gives the same output: no date, no host, no random name.
//
// # How it is made
//
// Each source has a reader (crontab.go, dkron.go, k8s.go) that turns bytes into a
// draft: jobs with the keys of a schedule file, comments, complaints. Two
// grammars read expressions: vixie.go for cron, robfig.go for the two that use
// the Go library. draft.go asks jobs.Parse and takes out what it refuses; yaml.go
// writes. The package opens no file: bytes come in, bytes go out.
package importer
