package jobs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxParamValue bounds one value: it is stored with the run and handed over in
// the environment.
const maxParamValue = 4096

// ParamError says why the parameters given to a job were refused.
type ParamError struct {
	Job      string
	Problems []string // at least one, in the order of names
}

// Error prints the problems on one line.
func (e *ParamError) Error() string {
	return fmt.Sprintf("job %q: %s", e.Job, strings.Join(e.Problems, "; "))
}

// BindParams checks the parameters given to a trigger against the declared
// ones and fills in the defaults. The answer holds every declared parameter;
// it is nil for a job without any. The error is a *ParamError that names every
// undeclared, missing and unfit parameter at once.
//
// A value fits when it is of the type, one of the enum and matched as a whole
// by the pattern, or when it is the default itself: an empty default stands for
// "not given" and need not fit.
func (j *Job) BindParams(given map[string]string) (map[string]string, error) {
	var problems []string
	declared := make([]string, len(j.Params))
	for i, p := range j.Params {
		declared[i] = p.Name
	}
	for _, name := range sortedKeys(given) {
		if !slices.Contains(declared, name) {
			problems = append(problems, undeclared(name, declared))
		}
	}
	var bound map[string]string
	if len(j.Params) > 0 {
		bound = make(map[string]string, len(j.Params))
	}
	for _, p := range j.Params {
		value, ok := given[p.Name]
		if !ok {
			if p.Required {
				problems = append(problems, fmt.Sprintf("param %q is required: give it as %s=VALUE", p.Name, p.Name))
			}
			value = p.Default
		} else if why := p.unfit(value); why != "" {
			problems = append(problems, why)
		}
		bound[p.Name] = value
	}
	if len(problems) > 0 {
		return nil, &ParamError{Job: j.Name, Problems: problems}
	}
	return bound, nil
}

func undeclared(name string, declared []string) string {
	if len(declared) == 0 {
		return fmt.Sprintf("param %s is not declared; the job declares no params", quoted(name))
	}
	return fmt.Sprintf("param %s is not declared; declared: %s%s", quoted(name), strings.Join(declared, ", "), didYouMean(name, declared))
}

// unfit says why the parameter cannot have that value, or "".
func (p Param) unfit(value string) string {
	if !p.Required && value == p.Default {
		return ""
	}
	switch {
	case len(value) > maxParamValue:
		return fmt.Sprintf("param %q: the value has %d bytes; at most %d are allowed", p.Name, len(value), maxParamValue)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return fmt.Sprintf("param %q: the value is not text (UTF-8 without NUL)", p.Name)
	}
	if why := p.mismatch(value); why != "" {
		return fmt.Sprintf("param %q: %s %s", p.Name, quoted(value), why)
	}
	return ""
}

// mismatch says what keeps the value from being one of the parameter's, by its
// type, its enum and its pattern, or "".
func (p Param) mismatch(value string) string {
	if why := p.Type.mismatch(value); why != "" {
		return why
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, value) {
		return "is none of " + shownEnum(p.Enum) + didYouMean(value, p.Enum)
	}
	if p.Pattern == "" {
		return ""
	}
	whole, err := wholePattern(p.Pattern)
	if err != nil {
		return fmt.Sprintf("cannot be compared with the pattern %q: %v", p.Pattern, err)
	}
	if !whole.MatchString(value) {
		return "does not match the pattern " + p.Pattern
	}
	return ""
}

var exactNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// mismatch says why the text is no value of the type, or "". Numbers are those
// that every reader takes for the same: 010 and 0x10 are none.
func (t ParamType) mismatch(value string) string {
	switch t {
	case ParamInteger:
		if !wholeNumber.MatchString(value) {
			return "is not an integer; expected digits such as 42, without a leading zero"
		}
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return "is out of range; expected an integer of 64 bits"
		}
	case ParamNumber:
		if !exactNumber.MatchString(value) {
			return "is not a number; expected one such as 42, -0.5 or 1e6, without a leading zero"
		}
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return "is out of range; expected a number of 64 bits"
		}
	case ParamBoolean:
		if value != "true" && value != "false" {
			if meant, ok := booleanWords[strings.ToLower(value)]; ok {
				return "is not a boolean; did you mean " + meant + "?"
			}
			return "is not a boolean; expected true or false"
		}
	}
	return ""
}

// shownEnum lists the allowed values, as far as a message has room.
func shownEnum(values []string) string {
	const most = 12
	if len(values) > most {
		return fmt.Sprintf("%s, ... (%d values)", strings.Join(values[:most], ", "), len(values))
	}
	return strings.Join(values, ", ")
}

// wholePattern compiles a pattern so that it must match all of a value. An
// author who forgets the anchors of [0-9]+ does not mean "contains a digit".
func wholePattern(pattern string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err // the words of the author's pattern, not of ours
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
