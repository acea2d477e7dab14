package redisstore

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"

	"carillon/jobs"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// script is one Lua file with the libraries its header names in front of it.
// Every script answers a repeated call as it answered the first, which is what
// allows the retries in Store.eval.
type script struct {
	name string
	text string
	sha  string
}

func (s *script) load(ctx context.Context, c redis.Cmdable) error {
	return c.ScriptLoad(ctx, s.text).Err()
}

// The scripts, one job each.
var (
	termScript      = newScript("term")
	adoptScript     = newScript("adopt")
	commitScript    = newScript("commit")
	triggerScript   = newScript("trigger")
	claimScript     = newScript("claim")
	finishScript    = newScript("finish")
	renewScript     = newScript("renew")
	releaseScript   = newScript("release")
	sweepScript     = newScript("sweep")
	heartbeatScript = newScript("heartbeat")
	leaveScript     = newScript("leave")
	announceScript  = newScript("announce")
	deposeScript    = newScript("depose")
	amnesiaScript   = newScript("amnesia")
	recallScript    = newScript("recall")

	voteScript      = newScript("vote")
	installScript   = newScript("install")
	prolongScript   = newScript("prolong")
	uninstallScript = newScript("uninstall")

	stepScript           = newScript("step")
	undoneScript         = newScript("undone")
	cancelScript         = newScript("cancel")
	resumeRollbackScript = newScript("resume_rollback")
	pauseScript          = newScript("pause")
	resumeScript         = newScript("resume")
	backfillScript       = newScript("backfill")
	feedScript           = newScript("feed")
	renameScript         = newScript("rename")
	anewScript           = newScript("anew")
)

func allScripts() []*script {
	return []*script{termScript, adoptScript, commitScript, triggerScript, claimScript, finishScript,
		renewScript, releaseScript, sweepScript, heartbeatScript, leaveScript, announceScript, deposeScript,
		stepScript, undoneScript, cancelScript, resumeRollbackScript, pauseScript, resumeScript, backfillScript, feedScript,
		renameScript, anewScript, voteScript, installScript, prolongScript, uninstallScript, amnesiaScript, recallScript}
}

var (
	usesLine  = regexp.MustCompile(`(?m)^-- Uses: (.*)$`)
	laterLine = regexp.MustCompile(`(?m)^-- Later: (.*) for (.*)$`)
)

// newScript puts a script together. A missing file is a programming error that
// every test meets, hence the panic at start.
//
// Each call of a script makes the functions of its libraries anew. Libraries that only
// some runs need are named in a Later line with the functions that the script wants
// of them, and become the body of later(), which returns those.
func newScript(name string) *script {
	body := readLua(name + ".lua")
	uses := usesLine.FindStringSubmatch(body)
	if uses == nil {
		panic("redisstore: lua/" + name + ".lua has no Uses line")
	}
	var text strings.Builder
	text.WriteString(movesTable())
	writeLibraries(&text, uses[1])
	if later := laterLine.FindStringSubmatch(body); later != nil {
		text.WriteString("local function later()\n")
		writeLibraries(&text, later[1])
		text.WriteString("return {")
		for _, f := range strings.Split(later[2], ", ") {
			fmt.Fprintf(&text, " %s = %s,", f, f)
		}
		text.WriteString(" }\nend\n")
	}
	text.WriteString(body)
	sum := sha1.Sum([]byte(text.String()))
	return &script{name: name, text: text.String(), sha: hex.EncodeToString(sum[:])}
}

func writeLibraries(text *strings.Builder, names string) {
	for _, lib := range strings.Split(names, ", ") {
		text.WriteString(readLua("lib_" + lib + ".lua"))
	}
}

func readLua(file string) string {
	b, err := luaFiles.ReadFile("lua/" + file)
	if err != nil {
		panic("redisstore: " + err.Error())
	}
	return string(b)
}

// movesTable renders the table of legal moves, so that the scripts and Go can
// never disagree about it.
func movesTable() string {
	var b strings.Builder
	b.WriteString("local MOVES = {\n")
	for _, s := range jobs.States() {
		fmt.Fprintf(&b, "  %s = {", s)
		for _, m := range s.Moves() {
			fmt.Fprintf(&b, " %s = true,", m)
		}
		b.WriteString(" },\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// Scripts returns the text of every script by its name, as Redis gets it: for tests
// that look over the wire.
func Scripts() map[string]string {
	texts := map[string]string{}
	for _, s := range allScripts() {
		texts[s.name] = s.text
	}
	return texts
}
