package executor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"carillon/jobs"
)

// maxSecret bounds one secret: it is handed over in the environment, where a
// kernel takes little more.
const maxSecret = 64 << 10

// secrets are the values of one attempt's secrets. They never leave this node.
type secrets struct {
	values map[string]string // by the name of the environment variable
	find   *matcher
}

// readSecrets reads the secrets of a job: files, and variables of the node. The
// error names every one that is missing, and no value. It returns nil for a job
// without secrets.
func readSecrets(list []jobs.Secret, variable func(string) (string, bool)) (*secrets, error) {
	if len(list) == 0 {
		return nil, nil
	}
	s := &secrets{values: make(map[string]string, len(list))}
	var texts []string
	var problems []string
	for _, secret := range list {
		var value, why string
		if secret.File != "" {
			value, why = secretFile(secret.File)
		} else {
			value, why = secretVariable(secret.Env, variable)
		}
		if why != "" {
			problems = append(problems, fmt.Sprintf("secret %s: %s", secret.Name, why))
			continue
		}
		s.values[secret.Name] = value
		texts = append(texts, telling(value)...)
	}
	if len(problems) > 0 {
		return nil, errors.New(strings.Join(problems, "; "))
	}
	s.find = newMatcher(distinct(texts, leastRedacted))
	return s, nil
}

// secretFile is the content of a file without the line end that editors leave.
func secretFile(path string) (value, why string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Sprintf("file %s does not exist on this node: create it, or mend the job's secrets", path)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Sprintf("file %s may not be read by the node: let its user read the file", path)
	case err != nil:
		return "", fmt.Sprintf("file %s cannot be read: %s", path, reason(err))
	case !info.Mode().IsRegular():
		return "", fmt.Sprintf("file %s is no regular file: mend the job's secrets", path)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Sprintf("file %s may not be read by the node: let its user read the file", path)
	}
	if err != nil {
		return "", fmt.Sprintf("file %s cannot be read: %s", path, reason(err))
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", fmt.Sprintf("file %s cannot be read: %s", path, reason(err))
	}
	if len(content) > maxSecret {
		return "", fmt.Sprintf("file %s is longer than %d KiB, more than a variable should hold: let the command read the file itself", path, maxSecret>>10)
	}
	value = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if value == "" {
		return "", fmt.Sprintf("file %s is empty on this node: write the value into it", path)
	}
	return value, ""
}

func secretVariable(name string, variable func(string) (string, bool)) (value, why string) {
	value, set := variable(name)
	switch {
	case !set:
		return "", fmt.Sprintf("variable %s is not set in the environment of this node: set it where the node is started, or mend the job's secrets", name)
	case value == "":
		return "", fmt.Sprintf("variable %s is empty in the environment of this node: give it a value where the node is started", name)
	case len(value) > maxSecret:
		return "", fmt.Sprintf("variable %s of this node is longer than %d KiB, more than a command can be given: put the value into a file that the command reads itself", name, maxSecret>>10)
	}
	return value, ""
}

// telling is what must not be seen of a value: the whole of it, and each of its
// lines, because programs print a key line by line.
func telling(value string) []string {
	texts := []string{value}
	if trimmed := strings.TrimSpace(value); trimmed != value {
		texts = append(texts, trimmed)
	}
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			texts = append(texts, strings.TrimSpace(line))
		}
	}
	return texts
}

// redact is a text without the values. s may be nil.
func (s *secrets) redact(text string) string {
	if s == nil || text == "" {
		return text
	}
	return redactText(s.find, text)
}

// writer is out without the values. s may be nil.
func (s *secrets) redactor(out io.Writer) *Redactor {
	if s == nil {
		return nil
	}
	return newRedactor(out, s.find)
}

func (s *secrets) environ() map[string]string {
	if s == nil {
		return nil
	}
	return s.values
}
