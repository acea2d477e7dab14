package importer

import (
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"carillon/jobs"
)

// action reads the executor. Its configuration is a flat map of texts.
func (d *dkronSource) action(t tree, j *draftJob) error {
	config := func(key string) string { return t.get("executor_config", key).text() }
	switch executor := t.get("executor").text(); executor {
	case "shell":
		return d.shell(t, j, config)
	case "http":
		return d.http(t, j, config)
	case "":
		// Before version 1 the command stood beside the name, for a shell.
		if command := t.get("command").text(); command != "" {
			j.pairs = append(j.pairs, pair{key: "run", value: script(command)})
			return nil
		}
		return errors.New("it has no executor")
	default:
		return fmt.Errorf("there is no executor %q here, only shell and http; give it a command that does the same", executor)
	}
}

func (d *dkronSource) shell(t tree, j *draftJob, config func(string) string) error {
	command := config("command")
	if strings.TrimSpace(command) == "" {
		return errors.New("it has no command")
	}
	if config("payload") != "" {
		return errors.New("it has a payload, which Dkron writes to the standard input of the command; commands have none here")
	}
	if inShell, _ := strconv.ParseBool(config("shell")); inShell {
		j.pairs = append(j.pairs, pair{key: "run", value: script(command)})
	} else {
		argv, cut, err := shellWords(command)
		if err != nil {
			return fmt.Errorf("command: %w", err)
		}
		if len(argv) == 0 {
			return errors.New("its command is empty")
		}
		if cut != "" {
			d.complain(j.line, Note, command, "without a shell, Dkron leaves out %q, and so does the command here", cut)
		}
		j.pairs = append(j.pairs, commandPair(argv))
	}
	if err := d.shellEnv(t, j, config); err != nil {
		return err
	}
	if cwd := config("cwd"); cwd != "" {
		j.set("dir", text(cwd))
	}
	if user, group, grouped := strings.Cut(config("su"), ":"); user != "" {
		j.set("user", text(user))
		if grouped {
			d.complain(j.line, Part, j.found, "the group %q of su is left out; a job has the groups of its user", group)
		}
	}
	if most := config("timeout"); most != "" {
		limit, err := time.ParseDuration(most)
		if err != nil {
			return fmt.Errorf("timeout %q is no duration", most)
		}
		if limit > 0 {
			j.set("timeout", bare(jobs.DurationText(limit)))
		}
	}
	if limit := config("mem_limit"); limit != "" {
		d.complain(j.line, Part, j.found, "the limit of memory, %s, is left out; ulimit -v in a run: script is near to it", limit)
	}
	return nil
}

// shellEnv reads "KEY=value,KEY=value". What has a comma in it Dkron cuts too.
func (d *dkronSource) shellEnv(t tree, j *draftJob, config func(string) string) error {
	var env []pair
	at := map[string]int{}
	add := func(name, v string) {
		if i, twice := at[name]; twice {
			env[i].value = text(v)
			return
		}
		at[name] = len(env)
		env = append(env, pair{key: name, value: text(v)})
	}
	if list := config("env"); list != "" {
		for part := range strings.SplitSeq(list, ",") {
			name, v, ok := strings.Cut(part, "=")
			switch {
			case !ok:
				d.complain(j.line, Part, j.found, "a part of its env has no \"=\" and is left out; Dkron cuts env at each comma, also in values")
			case !legalVariable(name):
				d.complain(j.line, Part, "env "+name, "%s; the variable is left out", whyIllegal(name))
			default:
				add(name, v)
			}
		}
	}
	if strings.Contains(config("command"), "ENV_JOB_NAME") {
		add("ENV_JOB_NAME", t.get("name").text())
	}
	if len(env) > 0 {
		j.set("env", value{form: mapping, pairs: env})
	}
	return nil
}

func (d *dkronSource) http(t tree, j *draftJob, config func(string) string) error {
	if config("url") == "" || config("method") == "" {
		return errors.New("its http executor has no url or no method")
	}
	request := []pair{{key: "method", value: text(config("method"))}, {key: "url", value: text(config("url"))}}
	headers, err := d.headers(j, config("headers"))
	if err != nil {
		return err
	}
	if len(headers) > 0 {
		request = append(request, pair{key: "headers", value: value{form: mapping, pairs: headers}})
	}
	if body := config("body"); body != "" {
		request = append(request, pair{key: "body", value: script(body)})
	}
	if codes := config("expectCode"); codes != "" {
		list := value{form: listing}
		for code := range strings.SplitSeq(codes, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(code))
			if err != nil {
				return fmt.Errorf("expectCode %q: expected statuses such as 200,206", codes)
			}
			list.items = append(list.items, number(n))
		}
		request = append(request, pair{key: "expect", value: list})
	} else {
		d.once(j, "without an expectCode Dkron takes any answer for a success; here it is one of 2xx (http.expect: names others)")
	}
	if config("expectBody") != "" {
		d.complain(j.line, Part, j.found, "expectBody is left out; here only the status decides")
	}
	for _, m := range t.get("executor_config").members() {
		if strings.HasPrefix(m.key, "tls") && m.value.text() != "" && m.value.text() != "false" {
			d.complain(j.line, Part, j.found, "%s is left out; requests use the certificates of the host", m.key)
		}
	}
	limit, err := strconv.Atoi(config("timeout"))
	if err != nil {
		limit = 30 // what Dkron takes for no number
	}
	if limit > 0 {
		j.set("timeout", bare(jobs.DurationText(time.Duration(limit)*time.Second)))
	}
	j.set("http", value{form: mapping, pairs: request})
	return nil
}

// headers reads a JSON text with a list of "Name: value".
func (d *dkronSource) headers(j *draftJob, list string) ([]pair, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	docs, err := readJSON([]byte(list))
	if err != nil || len(docs) != 1 || !docs[0].isList() {
		d.complain(j.line, Part, list, "the headers are no JSON list of texts; Dkron leaves them out too")
		return nil, nil
	}
	var headers []pair
	seen := map[string]int{}
	for _, item := range docs[0].items() {
		name, v, ok := strings.Cut(item.text(), ":")
		v = strings.TrimSpace(v)
		switch {
		case item.text() == "":
			continue
		case !ok:
			return nil, fmt.Errorf("header %q has no colon", item.text())
		case strings.Contains(v, ":"):
			d.complain(j.line, Note, item.text(), "Dkron sends it only up to its second colon; here it is sent as a whole")
		}
		name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
		if name == "Host" || name == "Content-Length" || name == "Connection" {
			d.complain(j.line, Part, item.text(), "the header is set by carillon, and left out")
			continue
		}
		if i, twice := seen[name]; twice {
			headers[i].value.text = v
			continue
		}
		seen[name] = len(headers)
		headers = append(headers, pair{key: name, value: text(v)})
	}
	return headers, nil
}

// shellWords splits a command as Dkron does when no shell is asked for
// (mattn/go-shellwords, without variables and backticks): quotes and backslashes
// as in a shell, and the first sign of a second command ends the line. cut is
// what stands behind it.
func shellWords(line string) (argv []string, cut string, err error) {
	var word strings.Builder
	var quote rune // the quotes that are open
	started, escaped := false, false
	end := func() {
		if started {
			argv = append(argv, word.String())
		}
		word.Reset()
		started = false
	}
	for i, r := range line {
		switch {
		case escaped:
			switch r {
			case 't':
				r = '\t'
			case 'n':
				r = '\n'
			}
			word.WriteRune(r)
			started, escaped = true, false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0 && r == quote:
			quote, started = 0, true
		case quote != 0:
			word.WriteRune(r)
			started = true
		case r == '\'' || r == '"':
			quote = r
		case strings.ContainsRune(" \t\r\n", r):
			end()
		case strings.ContainsRune("`()", r):
			return nil, "", fmt.Errorf("%q means something to a shell only, and Dkron runs this one without (shell is not true)", r)
		case strings.ContainsRune(";&|<>", r):
			if r == '>' && word.Len() > 0 && word.String()[0] >= '0' && word.String()[0] <= '9' {
				started = false // 2>
			}
			end()
			return argv, line[i:], nil
		default:
			word.WriteRune(r)
			started = true
		}
	}
	if escaped || quote != 0 {
		return nil, "", errors.New("a quote or a backslash in it has no end")
	}
	end()
	return argv, "", nil
}
