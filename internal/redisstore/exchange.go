package redisstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

// call is one script invocation inside a pipeline.
type call struct {
	script *script
	keys   []string
	args   []any
	reply  any
}

// pipeline runs calls in one round trip, in order. After SCRIPT FLUSH or a
// restart the ones that were unknown are loaded and run again.
func (s *Store) pipeline(ctx context.Context, on redis.Cmdable, calls []*call) error {
	if len(calls) == 1 {
		c := calls[0]
		var err error
		c.reply, err = s.evalOnce(ctx, on, c.script, c.keys, c.args)
		return wrap(c.script.name, err)
	}
	w := s.memory.now.Load()
	pipe := on.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		cmds[i] = pipe.EvalSha(ctx, c.script.sha, c.keys, append([]any{w.before(s.keys.prefix)}, c.args...)...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, c := range calls {
		var err error
		switch c.reply, err = cmds[i].Result(); {
		case isNoScript(err):
			c.reply, err = s.evalOnce(ctx, on, c.script, c.keys, c.args)
		case isForgot(err):
			if err = s.remember(ctx, w, err); err == nil {
				c.reply, err = s.evalOnce(ctx, on, c.script, c.keys, c.args)
			}
		}
		if err != nil {
			return wrap(c.script.name, err)
		}
	}
	return nil
}

// Exchange writes results and claims runs, in one round trip. It does not retry:
// the caller repeats the same request, which is answered as the first one was.
func (s *Store) Exchange(ctx context.Context, req jobs.ExchangeRequest) (jobs.ExchangeReply, error) {
	var reply jobs.ExchangeReply
	calls := make([]*call, 0, 2)
	var finish, claim *call
	if len(req.Results) > 0 {
		finish = s.finishCall(req.Results)
		calls = append(calls, finish)
	}
	if req.Want > 0 {
		claim = s.claimCall(req)
		calls = append(calls, claim)
	}
	if len(calls) == 0 {
		return reply, nil
	}
	w := s.memory.now.Load()
	var on redis.Cmdable = s.cmd
	var conn *redis.Conn
	if s.replicas.want > 0 {
		conn = s.cmd.Conn()
		defer func() { _ = conn.Close() }()
		on = conn
	}
	if err := s.pipeline(ctx, on, calls); err != nil {
		return reply, fmt.Errorf("exchange runs: %w", err)
	}
	var seq int64
	var err error
	if finish != nil {
		if reply.Answers, seq, err = decodeAnswers(finish.reply, len(req.Results)); err != nil {
			return reply, err
		}
	}
	if claim != nil {
		var broken []error
		if reply.Claims, reply.More, broken, seq, err = decodeClaims(claim.reply); err != nil {
			return reply, err
		}
		for _, b := range broken {
			s.log.Error("the record of a run cannot be read: the run is not started here; it fails when as many leases of it are lost as it may have crashes", "error", b)
		}
	}
	for i := range reply.Claims {
		if at := reply.Claims[i].ScheduledAt; !at.IsZero() {
			w.knows(millis(at))
		}
	}
	// No command begins before the replicas know of its claim, and of all before it,
	// and no result is forgotten here before they have it.
	if conn != nil && len(req.Results)+len(reply.Claims) > 0 {
		if err := s.acknowledged(ctx, conn, claimPatience); err != nil {
			return jobs.ExchangeReply{}, fmt.Errorf("exchange runs: %w", err)
		}
		w.saw(seq)
	} else if conn == nil {
		w.saw(seq)
	}
	return reply, nil
}

// decodeAnswers reads what lua/finish.lua says of n results.
func decodeAnswers(reply any, n int) (answers []jobs.FinishAnswer, seq int64, err error) {
	values, _ := reply.([]any)
	if len(values) != n+1 {
		return nil, 0, fmt.Errorf("exchange runs: finish answered %d of %d results", len(values)-1, n)
	}
	answers = make([]jobs.FinishAnswer, n)
	for i, v := range values[:n] {
		answers[i] = jobs.FinishAnswer(toString(v))
	}
	return answers, toInt(values[n]), nil
}

func (s *Store) finishCall(results []jobs.Result) *call {
	args := make([]any, 0, 2+9*len(results))
	args = append(args, s.opts.Node, len(results))
	for i := range results {
		r := &results[i]
		code := ""
		if r.ExitCode != nil {
			code = strconv.Itoa(*r.ExitCode)
		}
		args = append(args, r.RunID, r.Token, string(r.Status), r.RetryIn.Milliseconds(), code, text(r.Error), r.OutputBytes, r.LogBytes, r.FailedStep)
	}
	return &call{script: finishScript, args: args,
		keys: []string{s.keys.probe(), s.keys.leases(), s.keys.recent(), s.keys.events(), s.keys.sequence()}}
}

func (s *Store) claimCall(req jobs.ExchangeRequest) *call {
	return &call{script: claimScript,
		keys: []string{s.keys.probe(), s.keys.leases(), s.keys.claim(s.opts.Boot), s.keys.events(), s.keys.sequence(), s.keys.term()},
		args: s.claimArgs(req)}
}

func (s *Store) claimArgs(req jobs.ExchangeRequest) []any {
	serves := s.serving()
	args := make([]any, 0, 7+len(serves.routes))
	args = append(args, req.Lane, req.ClaimID, s.opts.Node, s.opts.Boot, min(req.Want, jobs.MaxBatch), s.opts.Lease.Milliseconds(),
		serves.maxWait.Milliseconds())
	for _, route := range serves.routes {
		args = append(args, route)
	}
	return args
}

// claimWidth is how many values lua/claim.lua returns for a run.
const claimWidth = 10

// decodeClaims reads what lua/claim.lua says. What is wrong with one run is in nobody
// else's way: broken says which cannot be read, and the others are there.
func decodeClaims(reply any) (claims []jobs.Claim, more bool, broken []error, seq int64, err error) {
	v, ok := reply.([]any)
	if !ok || len(v) < 3 || (len(v)-3)%claimWidth != 0 {
		return nil, false, nil, 0, fmt.Errorf("claim runs: unexpected reply of %d values", len(v))
	}
	var epoch int64
	more, epoch, seq = toInt(v[0]) == 1, toInt(v[1]), toInt(v[2])
	claims = make([]jobs.Claim, 0, len(v)/claimWidth)
	for v = v[3:]; len(v) > 0; v = v[claimWidth:] {
		c := jobs.Claim{
			RunID:       toString(v[0]),
			Token:       toString(v[1]),
			Attempt:     int(toInt(v[2])),
			Failures:    int(toInt(v[3])),
			Trigger:     jobs.Trigger(toString(v[4])),
			ScheduledAt: fromMillis(toInt(v[5])),
			Priority:    int(toInt(v[6])),
			Digest:      toString(v[7]),
			Epoch:       epoch,
		}
		c.Job, _ = jobs.JobOf(c.RunID)
		if p := toString(v[8]); p != "" {
			if err := json.Unmarshal([]byte(p), &c.Params); err != nil {
				broken = append(broken, fmt.Errorf("claim runs: params of %s: %w", c.RunID, err))
				continue
			}
		}
		if rest := toString(v[9]); rest != "" {
			if err := decodeRest(&c, rest); err != nil {
				broken = append(broken, fmt.Errorf("claim runs: %s: %w", c.RunID, err))
				continue
			}
		}
		claims = append(claims, c)
	}
	return claims, more, broken, seq, nil
}

// decodeRest reads what only some runs have; lua/claim.lua writes it.
func decodeRest(c *jobs.Claim, text string) error {
	var r struct {
		Step     int        `json:"step"`
		Undoing  bool       `json:"undoing"`
		Rollback []string   `json:"rollback"`
		Failure  string     `json:"failure"`
		FailedAt string     `json:"failed_at"`
		UpJob    string     `json:"up_job"`
		UpRun    string     `json:"up_run"`
		UpStatus jobs.State `json:"up_status"`
		UpError  string     `json:"up_error"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	c.Step, c.Undoing, c.Rollback, c.Failure, c.FailedAt = r.Step, r.Undoing, r.Rollback, r.Failure, r.FailedAt
	if r.UpRun != "" {
		c.Upstream = &jobs.Upstream{Job: r.UpJob, RunID: r.UpRun, Status: r.UpStatus, Error: r.UpError}
	}
	return nil
}

// Renew renews leases; the answers are in the order of refs.
func (s *Store) Renew(ctx context.Context, refs []jobs.LeaseRef) ([]jobs.RenewAnswer, error) {
	answers := make([]jobs.RenewAnswer, 0, len(refs))
	for len(refs) > 0 {
		n := min(len(refs), 500)
		args := make([]any, 0, 2+2*n)
		args = append(args, s.opts.Lease.Milliseconds(), n)
		for _, r := range refs[:n] {
			args = append(args, r.RunID, r.Token)
		}
		reply, err := s.evalOnce(ctx, s.cmd, renewScript, []string{s.keys.probe(), s.keys.leases()}, args)
		if err != nil {
			return nil, wrap("renew leases", err)
		}
		values, _ := reply.([]any)
		if len(values) != n {
			return nil, fmt.Errorf("renew leases: %d answers for %d leases", len(values), n)
		}
		for _, v := range values {
			answers = append(answers, jobs.RenewAnswer(toString(v)))
		}
		refs = refs[n:]
	}
	return answers, nil
}

// Release gives runs back: to the head of their queue, or parked.
func (s *Store) Release(ctx context.Context, releases []jobs.Release) error {
	for len(releases) > 0 {
		n := min(len(releases), 250)
		args := make([]any, 0, 2+4*n)
		args = append(args, s.opts.Node, n)
		for _, r := range releases[:n] {
			args = append(args, r.RunID, r.Token, string(r.Kind), text(r.Reason))
		}
		_, err := s.eval(ctx, releaseScript, []string{s.keys.probe(), s.keys.leases(), s.keys.events(), s.keys.sequence()}, args...)
		if err != nil {
			return err
		}
		releases = releases[n:]
	}
	return nil
}

// bellPoll is how long WaitBell blocks at least, and so about how long a run can
// wait when its bell token was lost.
const bellPoll = 800 * time.Millisecond

// WaitBell blocks until a token could be taken from a bell of this node's routes
// (true), or about a second has passed (false). When ctx ends it returns at once
// and never works again: the connection is closed under it.
func (s *Store) WaitBell(ctx context.Context) (bool, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.block.Close() })
	defer stop()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), bellPoll+2*time.Second)
	defer cancel()
	// Nodes that waited the same time each would come back in step, and the same one
	// be first at every tick. (The typed BLPop takes whole seconds only.)
	bells := s.serving().bells
	args := make([]any, 0, 2+len(bells))
	args = append(args, "BLPOP")
	for _, bell := range bells {
		args = append(args, bell)
	}
	args = append(args, (bellPoll + rand.N(bellPoll/4)).Seconds())
	token, err := s.block.Do(timed, args...).StringSlice()
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err == redis.Nil:
		return false, nil
	case err != nil:
		return false, wrap("wait for the bell", err)
	}
	if len(token) != 2 {
		return false, fmt.Errorf("wait for the bell: unexpected reply of %d values", len(token))
	}
	s.rung = token[0]
	return true, nil
}

// routeKeep is ROUTE_KEEP_MS of lua/lib_queue.lua: a bell is rung again before it is
// missed, and that of a node which is gone must not stay.
const routeKeep = time.Hour

// ReturnBell puts the last token back, for which this node had no slot. It is
// for the goroutine that waits for the bell.
func (s *Store) ReturnBell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opBudget)
	defer cancel()
	pipe := s.cmd.Pipeline()
	pipe.LPush(ctx, s.rung, "1")
	if s.rung != s.keys.bell(jobs.AnyRoute) {
		pipe.PExpire(ctx, s.rung, routeKeep)
	}
	_, err := pipe.Exec(ctx)
	return wrap("return the bell token", err)
}

// ServesNobody reports whether err proves that nobody else can take a run away: Redis
// loads its data, or takes no write because it cannot write its disk. Only Redis itself
// can say so. Whom it does not answer, or a firewall, a proxy or a sidecar in between
// refuses, cannot know whether the others are answered. Nor is it proof if there are
// several (sentinels, a cluster), or if it is a replica: another one may be the master.
func (s *Store) ServesNobody(ctx context.Context, err error) bool {
	switch {
	case s.several:
		return false
	case isDiskFull(err): // replicas say READONLY before they say that
		return true
	}
	return ClassOf(err) == Loading && s.isMaster(ctx)
}

// isMaster asks for the role in a way that needs no right and is answered while the data
// are loaded.
func (s *Store) isMaster(ctx context.Context) bool {
	reply, err := s.cmd.Do(ctx, "HELLO").Result()
	if err != nil {
		return false
	}
	switch hello := reply.(type) {
	case map[any]any: // RESP3
		return hello["role"] == "master"
	case []any: // RESP2: names and values in turn
		i := slices.Index(hello, any("role"))
		return i >= 0 && i+1 < len(hello) && hello[i+1] == "master"
	}
	return false
}
