package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The digests are hashes of canonical JSON: structs with a fixed order of
// fields, maps in the order of their keys. The forms are their own types, so
// that a new field of Job does not change the digest of every job there is. The
// layout of the file, the order of its keys and its comments are not in them.
//
// The first field names the format: whoever changes what a value means changes
// that name too. A key that is new is left out at its default, and then the
// jobs that do without it keep their digest.

type definitionForm struct {
	Form    string            `json:"form"`
	Action  actionForm        `json:"action"`
	Env     map[string]string `json:"env,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	User    string            `json:"user,omitempty"`
	Timeout time.Duration     `json:"timeout,omitempty"`
	Retry   retryForm         `json:"retry"`
	Params  []paramForm       `json:"params,omitempty"`
	Undo    *undoForm         `json:"undo,omitempty"`
	Steps   []stepForm        `json:"steps,omitempty"`
	Secrets []secretForm      `json:"secrets,omitempty"`
	OnLost  OnLost            `json:"on_lost,omitempty"`
}

type stepForm struct {
	Name    string        `json:"name"`
	Action  actionForm    `json:"action"`
	Undo    *undoForm     `json:"undo,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Retry   retryForm     `json:"retry"`
}

type undoForm struct {
	Action  actionForm    `json:"action"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Retry   retryForm     `json:"retry"`
}

type secretForm struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
	Env  string `json:"env,omitempty"`
}

type actionForm struct {
	Kind    ActionKind `json:"kind"`
	Command []string   `json:"command,omitempty"`
	Script  string     `json:"script,omitempty"`
	HTTP    *httpForm  `json:"http,omitempty"`
	Func    string     `json:"func,omitempty"`
}

type httpForm struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Expect  []int             `json:"expect,omitempty"`
}

type retryForm struct {
	Attempts   int           `json:"attempts"`
	Backoff    time.Duration `json:"backoff"`
	Factor     float64       `json:"factor"`
	MaxBackoff time.Duration `json:"max_backoff"`
	On         []int         `json:"on,omitempty"`
	NotOn      *[]int        `json:"not_on,omitempty"` // nil is the default; none at all is something else
}

type paramForm struct {
	Name     string    `json:"name"`
	Pattern  string    `json:"pattern,omitempty"`
	Default  string    `json:"default,omitempty"`
	Required bool      `json:"required,omitempty"`
	Type     ParamType `json:"type,omitempty"`
	Enum     []string  `json:"enum,omitempty"`
}

type timingForm struct {
	Form     string   `json:"form"`
	Schedule []string `json:"schedule,omitempty"`
	Timezone string   `json:"timezone"`
	Enabled  bool     `json:"enabled"`

	At      []string      `json:"at,omitempty"`
	Offset  time.Duration `json:"offset,omitempty"`
	Start   string        `json:"start,omitempty"`
	End     string        `json:"end,omitempty"`
	EveryN  *EveryN       `json:"every_n,omitempty"`
	DST     *DST          `json:"dst,omitempty"`
	Only    string        `json:"only,omitempty"` // the days, by digestOfDays
	Exclude string        `json:"exclude,omitempty"`
	Shift   Shift         `json:"shift,omitempty"`
}

type jobForm struct {
	Name            string            `json:"name"`
	Digest          string            `json:"digest"`
	Timing          string            `json:"timing"`
	Description     string            `json:"description,omitempty"`
	CatchUp         CatchUp           `json:"catch_up"`
	Overlap         Overlap           `json:"overlap"`
	Priority        int               `json:"priority"`
	MaxRunning      int               `json:"max_running,omitempty"`
	Group           string            `json:"group,omitempty"`
	GroupLimit      int               `json:"group_limit,omitempty"`
	Pool            string            `json:"pool,omitempty"`
	Nodes           map[string]string `json:"nodes,omitempty"`
	EveryNode       bool              `json:"every_node,omitempty"`
	After           *afterForm        `json:"after,omitempty"`
	CrashRetries    int               `json:"crash_retries,omitempty"`
	Delivery        Delivery          `json:"delivery,omitempty"`
	UnroutableAfter time.Duration     `json:"unroutable_after,omitempty"`
	Jitter          time.Duration     `json:"jitter,omitempty"`
	RenamedFrom     string            `json:"renamed_from,omitempty"`
}

type afterForm struct {
	Job  string `json:"job"`
	When When   `json:"when"`
}

type scheduleForm struct {
	Form    string        `json:"form"`
	Jobs    []jobForm     `json:"jobs"`
	MaxWait time.Duration `json:"max_wait,omitempty"`
}

// unless is the value, or nothing when it is the default.
func unless[T comparable](value, byDefault T) T {
	if value == byDefault {
		value = *new(T)
	}
	return value
}

// definitionDigest covers what an attempt executes, and what decides its course
// on the node.
func definitionDigest(j *Job) string {
	params := make([]paramForm, len(j.Params))
	for i, p := range j.Params {
		params[i] = paramForm{
			Name: p.Name, Pattern: p.Pattern, Default: p.Default, Required: p.Required,
			Type: unless(p.Type, ParamString), Enum: slices.Sorted(slices.Values(p.Enum)),
		}
	}
	slices.SortFunc(params, func(a, b paramForm) int { return strings.Compare(a.Name, b.Name) })
	steps := make([]stepForm, len(j.Steps))
	for i, s := range j.Steps {
		steps[i] = stepForm{
			Name: s.Name, Action: actionFormOf(s.Action), Undo: undoFormOf(s.Undo), Timeout: s.Timeout, Retry: retryFormOf(s.Retry),
		}
	}
	secrets := make([]secretForm, len(j.Secrets))
	for i, s := range j.Secrets {
		secrets[i] = secretForm(s)
	}
	return digestOf(definitionForm{
		Form: "definition/1", Action: actionFormOf(j.Action), Env: j.Env, Dir: j.Dir, User: j.User,
		Timeout: j.Timeout, Retry: retryFormOf(j.Retry), Params: params,
		Undo: undoFormOf(j.Undo), Steps: steps, Secrets: secrets, OnLost: unless(j.OnLost, OnLostKill),
	})
}

func actionFormOf(a Action) actionForm {
	form := actionForm{Kind: a.Kind, Command: a.Command, Script: a.Script, Func: a.Func}
	if h := a.HTTP; h != nil {
		form.HTTP = &httpForm{Method: h.Method, URL: h.URL, Headers: h.Headers, Body: h.Body, Expect: h.Expect}
	}
	return form
}

func undoFormOf(u *Undo) *undoForm {
	if u == nil {
		return nil
	}
	return &undoForm{Action: actionFormOf(u.Action), Timeout: u.Timeout, Retry: retryFormOf(u.Retry)}
}

func retryFormOf(r Retry) retryForm {
	form := retryForm{Attempts: r.Attempts, Backoff: r.Backoff, Factor: r.Factor, MaxBackoff: r.MaxBackoff, On: r.On}
	if !slices.Equal(r.NotOn, defaultNotOn()) {
		notOn := append([]int{}, r.NotOn...) // never null
		form.NotOn = &notOn
	}
	return form
}

// timingDigest covers when the job fires; only and exclude are the digests of the
// days of its calendars. Jitter is not in it: it moves no tick.
func timingDigest(j *Job, only, exclude string) string {
	texts := make([]string, len(j.Specs))
	for i, s := range j.Specs {
		texts[i] = s.String()
	}
	slices.Sort(texts)
	form := timingForm{
		Form: "timing/1", Schedule: slices.Compact(texts), Timezone: j.Timezone, Enabled: j.Enabled,
		Offset: j.Offset, Start: instantForm(j.Start), End: instantForm(j.End),
		Only: only, Exclude: exclude, Shift: j.Shift,
	}
	for _, at := range j.At {
		form.At = append(form.At, at.Format(time.RFC3339))
	}
	if j.EveryN.N > 1 { // one in one is all of them
		form.EveryN = &j.EveryN
	}
	if j.DST != (DST{}) {
		form.DST = &j.DST
	}
	return digestOf(form)
}

func instantForm(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// daysForm is a set of days, however it was written: what the weekdays and the
// dates of every year make of it, and the years that differ from that.
type daysForm struct {
	Week   uint8      `json:"week,omitempty"`
	Yearly []uint32   `json:"yearly,omitempty"`
	Years  []yearForm `json:"years,omitempty"`
}

type yearForm struct {
	Year int        `json:"year"`
	Days [12]uint32 `json:"days"` // bit n of a month is day n
}

// digestOfDays identifies the days that are in one of the calendars, and not how
// they were written or what they are called; "" when there are no calendars.
func digestOfDays(calendars []*Calendar) string {
	if len(calendars) == 0 {
		return ""
	}
	all := unionOf(calendars)
	regular := newDaySet(all.week, all.yearly, nil)
	form := daysForm{Week: regular.week}
	if regular.yearly != (yearMask{}) {
		form.Yearly = regular.yearly[1:]
	}
	from, to := lastYear+1, 0
	for part := all; part != nil; part = part.or {
		if len(part.pages) > 0 {
			from, to = min(from, part.first), max(to, part.first+len(part.pages)-1)
		}
	}
	for year := from; year <= to; year++ {
		y := yearForm{Year: year}
		differs := false
		for m := 1; m <= 12; m++ {
			first, length := dayNumber(year, m), monthDays(year, m)
			days := all.month(first, year, m, length)
			y.Days[m-1] = uint32(days)
			differs = differs || days != regular.month(first, year, m, length)
		}
		if differs {
			form.Years = append(form.Years, y)
		}
	}
	return digestOf(form)
}

// jobFormOf is everything that shapes a job's behaviour.
func jobFormOf(j, byDefault *Job) jobForm {
	return jobForm{
		Name: j.Name, Digest: j.Digest, Timing: j.Timing, Description: j.Description,
		CatchUp: j.CatchUp, Overlap: j.Overlap, Priority: j.Priority,
		MaxRunning: j.MaxRunning, Group: j.Group, GroupLimit: j.GroupLimit,
		Pool: j.Pool, Nodes: j.Nodes, EveryNode: j.EveryNode, After: (*afterForm)(j.After),
		CrashRetries:    unless(j.CrashRetries, byDefault.CrashRetries),
		Delivery:        unless(j.Delivery, byDefault.Delivery),
		UnroutableAfter: unless(j.UnroutableAfter, byDefault.UnroutableAfter),
		Jitter:          j.Jitter,
		RenamedFrom:     j.RenamedFrom,
	}
}

// scheduleDigest covers every job with everything that shapes its behaviour,
// in the order of names.
func scheduleDigest(s *Schedule) string {
	byDefault := newJob()
	form := scheduleForm{Form: "schedule/1", Jobs: make([]jobForm, len(s.Jobs)), MaxWait: unless(s.MaxWait, defaultMaxWait)}
	for i, j := range s.Jobs {
		form.Jobs[i] = jobFormOf(j, &byDefault)
	}
	slices.SortFunc(form.Jobs, func(a, b jobForm) int { return strings.Compare(a.Name, b.Name) })
	return digestOf(form)
}

func digestOf(form any) string {
	text, err := json.Marshal(form)
	if err != nil {
		// Only strings, numbers (the decoder rejects NaN), maps and slices.
		panic(fmt.Sprintf("digest: %T does not marshal: %v", form, err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
