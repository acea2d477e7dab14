package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/internal/redisstore"
	"carillon/jobs"
)

func (a *app) doctorCommand() *cobra.Command {
	return a.command(spec{
		use:   "doctor",
		short: "Check Redis, the nodes and the runs, and say what to mend",
		long: `Look at Redis, the nodes, the runs and the schedule file, and say what is wrong: what each
finding means, and the line that mends it. It reads only, and takes about 3 seconds.

The exit code is 1 when a problem was found and 0 with warnings and notes alone. A check
whose question the Redis user may not ask is a note, not a pass. The ids of the findings:
` + checkHelp(),
		example: `  carillon doctor
  carillon doctor --redis redis://admin:PASSWORD@10.0.0.5:6379/0   # a user who may look
  carillon doctor -o json | jq -r '.findings[] | select(.weight == "problem").id'`,
		args: noArgs,
		run: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(st store) error { return a.doctor(cmd.Context(), st) })
		},
	})
}

func (a *app) doctor(ctx context.Context, st store) error {
	addr, err := a.address()
	if err != nil {
		return err
	}
	p := patient{embedded: addr.embedded}
	if path, named := a.path(); named || isThere(path) {
		if p.schedule, err = a.load(path); err != nil {
			p.fileError = a.scheduleFailed(err).Error()
		}
	}
	if p.Facts, err = st.Facts(ctx); err != nil {
		return err
	}
	locks := a.givenLocks(nil)
	if len(locks) == 0 && p.schedule != nil {
		locks = p.schedule.LockRedis
	}
	if p.locks, err = redisstore.PingLocks(ctx, locks, a.namespace()); err != nil {
		return fail(exitUsage, "%w", err)
	}
	findings, nothing := diagnose(p)
	addressed(findings, addr)
	ok := !slices.ContainsFunc(findings, func(f finding) bool { return f.Weight == problem })
	v := doctorView{OK: ok, CheckedAt: utc(p.At), Redis: viewRedis(addr, p.Facts), Findings: findings, Checks: nothing}
	if err := a.one(v, func(w io.Writer) error { return a.showDoctor(w, v) }); err != nil {
		return outputFailed(err)
	}
	if !ok {
		return ended(exitOther, "problems found")
	}
	return nil
}

// addressed makes the lines for redis-cli those for this Redis: without an address they
// would mend the one on the host where somebody types them.
func addressed(findings []finding, addr address) {
	const bare = "redis-cli "
	command, where := redisstore.CommandLine(addr.url)
	for i, f := range findings {
		if !strings.Contains(f.Mend, bare) {
			continue
		}
		findings[i].Mend = strings.ReplaceAll(f.Mend, bare, command+" ")
		if where != "" {
			findings[i].Mend += " (" + where + ")"
		}
	}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

type doctorView struct {
	OK        bool            `json:"ok"`
	CheckedAt stamp           `json:"checked_at"`
	Redis     doctorRedisView `json:"redis"`
	Findings  []finding       `json:"findings"`
	Checks    []string        `json:"checks"` // made, and found nothing
}

type doctorRedisView struct {
	Address   string       `json:"address"`
	Version   string       `json:"version"`
	Role      string       `json:"role"`
	Memory    int64        `json:"memory_bytes"`
	MaxMemory int64        `json:"max_memory_bytes"` // 0: no limit
	PingMS    float64      `json:"ping_p50_ms"`
	PingMaxMS float64      `json:"ping_max_ms"`
	Keys      []familyView `json:"keys"`
	Partial   bool         `json:"keys_partial"` // there are more
}

type familyView struct {
	Family string `json:"family"`
	Keys   int    `json:"keys"`
	Bytes  int64  `json:"bytes"` // estimated
}

func viewRedis(addr address, f redisstore.Facts) doctorRedisView {
	v := doctorRedisView{
		Address: addr.String(), Version: serverVersion(f.Info), Role: f.Info["role"],
		Memory: infoInt(f.Info, "used_memory"), MaxMemory: infoInt(f.Info, "maxmemory"),
		PingMS: inMillis(f.PingMedian), PingMaxMS: inMillis(f.PingMax), Keys: []familyView{}, Partial: f.Partial,
	}
	for _, k := range f.Families {
		v.Keys = append(v.Keys, familyView{Family: k.Name, Keys: k.Keys, Bytes: k.Bytes})
	}
	slices.SortStableFunc(v.Keys, func(a, b familyView) int { return int(b.Bytes - a.Bytes) })
	return v
}

func inMillis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (a *app) showDoctor(w io.Writer, v doctorView) error {
	var b strings.Builder
	st := a.style()
	r := v.Redis
	fmt.Fprintf(&b, "Redis %s at %s", orDash(oneLine(r.Version)), oneLine(r.Address))
	if r.Role != "" {
		fmt.Fprintf(&b, ", %s, %s", oneLine(r.Role), sizeWords(r.Memory))
		if r.MaxMemory > 0 {
			fmt.Fprintf(&b, " of %s", sizeWords(r.MaxMemory))
		}
	}
	fmt.Fprintf(&b, ", answers in %.2f ms (max %.2f)\n", r.PingMS, r.PingMaxMS)
	if len(r.Keys) > 0 {
		var parts []string
		for _, k := range r.Keys[:min(5, len(r.Keys))] {
			text := fmt.Sprintf("%s %d", oneLine(k.Family), k.Keys)
			if k.Bytes > 0 {
				text += " (" + sizeWords(k.Bytes) + ")"
			}
			parts = append(parts, text)
		}
		more := ""
		if v.Redis.Partial {
			more = ", of the first keys"
		}
		fmt.Fprintf(&b, "Keys: %s%s\n", strings.Join(parts, ", "), more)
	}
	for _, weight := range weights {
		for _, f := range v.Findings {
			if f.Weight != weight {
				continue
			}
			fmt.Fprintf(&b, "\n%s %s", weightColour[weight].wrap(string(weight), st.colours), f.ID)
			if f.Subject != "" {
				fmt.Fprintf(&b, ": %s", oneLine(f.Subject))
			}
			fmt.Fprintf(&b, "\n  %s\n  mend: %s\n", oneLine(f.Message), oneLine(f.Mend))
		}
	}
	fmt.Fprintf(&b, "\n%s found nothing\n", count(len(v.Checks), "check"))
	_, err := io.WriteString(w, b.String())
	return err
}

var weightColour = map[weight]colour{problem: red, warning: yellow, aside: cyan}

func sizeWords(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
}

// checkHelp lists the ids for the help.
func checkHelp() string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "\n  %-17s %s", c.id, c.asks)
	}
	return b.String()
}

// patient is what a diagnosis is made from.
type patient struct {
	redisstore.Facts
	embedded  bool
	schedule  *jobs.Schedule // nil without a file
	fileError string
	locks     map[string]error // lock Redis -> why it does not serve; empty when none is named here
}
