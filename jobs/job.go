package jobs

import (
	"time"
)

// Schedule is one schedule file, decoded, validated and with every default
// filled in. It is immutable once Load or Parse returned it.
type Schedule struct {
	Path      string         // as given to Load; "" for Parse
	Revision  int64          // who leads: a node with an older one leaves the seat to a newer one; in no digest; default 0
	Timezone  string         // the file's zone, "UTC" by default
	Location  *time.Location // that Timezone names
	Zoneinfo  string         // version of the zone database that the times come from; see Zones.Version
	Redis     string         // redis.url, "" when the file names none
	LockRedis []string       // redis.lock: where the leader's lock is, when not on Redis
	Heartbeat Heartbeat      // heartbeat:, zero when the file has none
	MaxWait   time.Duration  // a run that waited longer goes first, whatever its priority; default 10 m
	Groups    map[string]int // groups: how many runs of a group's jobs may be unfinished at once
	Calendars []*Calendar    // calendars:, in file order
	Silence   []string       // ids of warnings that are not given about any job
	Files     []string       // the files that calendars: names, as paths that can be opened
	Jobs      []*Job         // in file order
	Digest    string         // 16 hex digits over every job's definition and timing
	ZoneAt    Place          // where the file names its zone; zero when it has the default
	byName    map[string]*Job
	formerly  map[string]*Job // by RenamedFrom
}

// Heartbeat is a dead-man's switch outside of the fleet: the leader asks for URL
// while ticks are decided, and silence is the alarm. It shapes no job, so it is in
// no digest.
type Heartbeat struct {
	URL   string // http or https; it may hold a secret
	Every time.Duration
}

// Place is where something is written in the schedule file. Both count from 1,
// columns in characters.
type Place struct{ Line, Column int }

// Places are for the messages about a job; they are no part of what it is.
type Places struct {
	Specs []Place // of each of Job.Specs
	Zone  Place   // of the job's own zone; zero when it has the file's
}

// Job returns the job of that name, or nil.
func (s *Schedule) Job(name string) *Job { return s.byName[name] }

// Formerly returns the job that was renamed from that name, or nil.
func (s *Schedule) Formerly(name string) *Job { return s.formerly[name] }

// Job is one entry under "jobs:". A job is data: nothing in it runs.
type Job struct {
	Name        string
	Line        int    // of the file, where the job is declared
	RenamedFrom string `json:",omitempty"` // the name that it had before: its cursor and history are this job's
	Description string
	Enabled     bool
	Specs       []*Spec       // of schedule:; without them and At the job is started by hand only
	Timezone    string        // the job's zone, or the file's
	At          []time.Time   // single ticks beside Specs, in UTC and in order; no other rule bends them
	Jitter      time.Duration // a tick starts up to this much after its time; see Starts
	DST         DST           // what was written; the defaults depend on each expression
	Offset      time.Duration // of the @every expressions
	Start       time.Time     // no tick of Specs before it; zero: no bound
	End         time.Time     // no tick of Specs after it; zero: no bound
	EveryN      EveryN
	Only        []*Calendar // Specs fire only on days that are in one of them
	Exclude     []*Calendar // Specs do not fire on days that are in one of them
	Shift       Shift
	Silence     []string // ids of warnings that are not given about this job
	CatchUp     CatchUp
	Overlap     Overlap
	Priority    int           // 0..9, higher first
	Timeout     time.Duration // of one attempt; 0 is no limit
	Retry       Retry
	Action      Action // of a job without steps
	Undo        *Undo  // of that action, or nil
	Steps       []Step // instead of Action; at least one of them
	Env         map[string]string
	Dir         string
	User        string
	Params      []Param  // in file order
	Secrets     []Secret // in the order of their names

	CrashRetries    int               // starts that end in a lost lease before the run is quarantined; default 3
	OnLost          OnLost            // what a node does with an attempt whose lease it cannot renew
	Delivery        Delivery          // what becomes of a run whose node was lost
	MaxRunning      int               // with overlap allow: unfinished runs at once; 0 is no limit
	Group           string            // mutual exclusion with the other jobs of the group; "" is none
	GroupLimit      int               // unfinished runs of the whole group at once
	Pool            string            // only nodes of that pool; "" is any
	Nodes           map[string]string // labels that a node must have
	EveryNode       bool              // one run for each live node
	UnroutableAfter time.Duration     // a run that no live node may take fails after this; default 10 m
	After           *After            // started by another job's end, or nil
	Followers       []*Job            // enabled jobs whose After names this one, in file order; filled in by Load

	Digest string // 16 hex digits over what an attempt executes; a run carries it
	Timing string // 16 hex digits over when the job fires; its cursor carries it

	Location *time.Location `json:"-"` // that Timezone names; shared
	Places   Places         `json:"-"`
}

// CatchUpPolicy says which of the ticks that nobody decided in time still run.
type CatchUpPolicy string

// The catch-up policies of the schedule file.
const (
	CatchUpLatest CatchUpPolicy = "latest"
	CatchUpAll    CatchUpPolicy = "all"
	CatchUpSkip   CatchUpPolicy = "skip"
)

// CatchUp bounds what a leader that comes late runs after the fact.
type CatchUp struct {
	Policy CatchUpPolicy
	Window time.Duration // ticks older than this are missed
	Max    int           // at most this many of the older ticks run
}

// Overlap says what happens to a tick while an earlier run is unfinished.
type Overlap string

// The overlap policies of the schedule file.
const (
	OverlapSkip    Overlap = "skip"    // the tick is skipped
	OverlapAllow   Overlap = "allow"   // both run, up to MaxRunning
	OverlapQueue   Overlap = "queue"   // one waits for the end of the earlier run; a newer one is skipped
	OverlapReplace Overlap = "replace" // the earlier run is canceled; a newer tick takes the waiting one's place
)

// Retry is the policy for failures and timeouts of a run, of a step or of an
// undo. Attempts counts the first try.
type Retry struct {
	Attempts   int
	Backoff    time.Duration
	Factor     float64
	MaxBackoff time.Duration
	On         []int // exit codes that are worth another try; empty: all but NotOn
	NotOn      []int // exit codes that are not; 126 and 127 by default
}

// ActionKind names what an attempt does.
type ActionKind string

// The four kinds of action.
const (
	ActionCommand ActionKind = "command" // argv, no shell
	ActionRun     ActionKind = "run"     // a script for sh -c
	ActionHTTP    ActionKind = "http"    // one request
	ActionFunc    ActionKind = "func"    // a Go handler of the embedding program
)

// Action is what one attempt of a job does; exactly the fields of Kind are set.
type Action struct {
	Kind    ActionKind
	Command []string
	Script  string
	HTTP    *HTTPRequest
	Func    string
}

// HTTPRequest is the request of an http action.
type HTTPRequest struct {
	Method  string            // default GET
	URL     string            // http or https
	Headers map[string]string // canonical names
	Body    string
	Expect  []int // statuses that count as success; empty: any 2xx
}

// Param is one declared parameter of a job. Only declared parameters may be
// given to a trigger.
type Param struct {
	Name        string // [a-z][a-z0-9_]*
	Description string
	Pattern     string    // a regular expression for the whole value; "" accepts anything
	Type        ParamType // default string
	Enum        []string  // the allowed values; empty: any
	Default     string    // "" stands for "not given" and need not match
	Required    bool      // a trigger must give it
}

// ParamType says what a value must look like; it is handed over as text anyway.
type ParamType string

// The types of a parameter.
const (
	ParamString  ParamType = "string"
	ParamInteger ParamType = "integer"
	ParamNumber  ParamType = "number"
	ParamBoolean ParamType = "boolean" // true or false
)
