package carillon

import _ "embed" // for the schema

//go:embed schedule.schema.json
var scheduleSchema string

// ScheduleSchema is the JSON Schema (draft-07) of the schedule file, for editors
// and for programs that write such files. It accepts what jobs.Parse accepts. What
// no JSON Schema can say, such as that a job that is followed exists, Parse alone
// knows.
func ScheduleSchema() string { return scheduleSchema }
