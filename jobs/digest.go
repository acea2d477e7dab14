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
// fields, maps in the order of their keys. The forms are their own types, so that
// a new field of Job does not change the digest of every job there is. The layout of the file, the order of
// its keys and its comments are not in them. The first field names the format:
// whoever changes what a digest covers changes that name too.

type definitionForm struct {
	Form    string            `json:"form"`
	Action  actionForm        `json:"action"`
	Env     map[string]string `json:"env,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	User    string            `json:"user,omitempty"`
	Timeout time.Duration     `json:"timeout,omitempty"`
	Retry   retryForm         `json:"retry"`
	Params  []paramForm       `json:"params,omitempty"`
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
}

type paramForm struct {
	Name     string `json:"name"`
	Pattern  string `json:"pattern,omitempty"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required,omitempty"`
}

type timingForm struct {
	Form     string   `json:"form"`
	Schedule []string `json:"schedule,omitempty"`
	Timezone string   `json:"timezone"`
	Enabled  bool     `json:"enabled"`
}

type jobForm struct {
	Name        string  `json:"name"`
	Digest      string  `json:"digest"`
	Timing      string  `json:"timing"`
	Description string  `json:"description,omitempty"`
	CatchUp     CatchUp `json:"catch_up"`
	Overlap     Overlap `json:"overlap"`
	Priority    int     `json:"priority"`
}

type scheduleForm struct {
	Form string    `json:"form"`
	Jobs []jobForm `json:"jobs"`
}

// definitionDigest covers what an attempt executes and how it is retried.
func definitionDigest(j *Job) string {
	params := make([]paramForm, len(j.Params))
	for i, p := range j.Params {
		params[i] = paramForm{Name: p.Name, Pattern: p.Pattern, Default: p.Default, Required: p.Required}
	}
	slices.SortFunc(params, func(a, b paramForm) int { return strings.Compare(a.Name, b.Name) })
	action := actionForm{Kind: j.Action.Kind, Command: j.Action.Command, Script: j.Action.Script, Func: j.Action.Func}
	if h := j.Action.HTTP; h != nil {
		action.HTTP = &httpForm{Method: h.Method, URL: h.URL, Headers: h.Headers, Body: h.Body, Expect: h.Expect}
	}
	return digestOf(definitionForm{
		Form: "definition/1", Action: action, Env: j.Env, Dir: j.Dir, User: j.User,
		Timeout: j.Timeout, Retry: retryFormOf(j.Retry), Params: params,
	})
}

func retryFormOf(r Retry) retryForm {
	return retryForm{Attempts: r.Attempts, Backoff: r.Backoff, Factor: r.Factor, MaxBackoff: r.MaxBackoff}
}

// timingDigest covers when the job fires.
func timingDigest(j *Job) string {
	texts := make([]string, len(j.Specs))
	for i, s := range j.Specs {
		texts[i] = s.String()
	}
	slices.Sort(texts)
	return digestOf(timingForm{
		Form: "timing/1", Schedule: slices.Compact(texts), Timezone: j.Timezone, Enabled: j.Enabled,
	})
}

// scheduleDigest covers every job with everything that shapes its behaviour,
// in the order of names.
func scheduleDigest(jobs []*Job) string {
	form := scheduleForm{Form: "schedule/1", Jobs: make([]jobForm, len(jobs))}
	for i, j := range jobs {
		form.Jobs[i] = jobForm{
			Name: j.Name, Digest: j.Digest, Timing: j.Timing, Description: j.Description,
			CatchUp: j.CatchUp, Overlap: j.Overlap, Priority: j.Priority,
		}
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
