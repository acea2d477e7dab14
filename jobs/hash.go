package jobs

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// spread reads an item that begins with H and writes it out in numbers: a value
// that follows from the job's name, so that jobs that want the same thing do not
// all want it in the same minute.
func (f *cronField) spread(item, job string) (string, error) {
	lo, hi, step, err := f.hashed(item)
	switch {
	case err != nil:
		return "", err
	case job == "":
		return "", fmt.Errorf("%s %q: H is spread by the job's name, and none is given", f.name, item)
	}
	size := hi - lo + 1
	if step == 0 {
		v := lo + int(spreadHash(f, job)%uint64(size))
		return f.values(v, v, 1), nil
	}
	// A step beyond the range leaves one value, as it does without H.
	first := lo + int(spreadHash(f, job)%uint64(min(step, size)))
	return f.values(first, hi, step), nil
}

// hashed reads H, H(lo-hi), and each of them with a step, which is 0 for none.
func (f *cronField) hashed(item string) (lo, hi, step int, err error) {
	lo, hi = f.min, f.last()
	if f == &domField {
		hi = 28 // every month has it
	}
	body, stepText, stepped := strings.Cut(item[1:], "/")
	if stepped {
		if step, err = f.step(item, "H", stepText); err != nil {
			return 0, 0, 0, err
		}
	}
	if body == "" {
		return lo, hi, step, nil
	}
	inside, opened := strings.CutPrefix(body, "(")
	inside, closed := strings.CutSuffix(inside, ")")
	loText, hiText, isRange := strings.Cut(inside, "-")
	if !opened || !closed || !isRange || loText == "" || hiText == "" || strings.Contains(hiText, "-") {
		example := fmt.Sprintf("%d-%d", f.min+1, f.min+4)
		return 0, 0, 0, fmt.Errorf("%s %q: expected H, H(%s), or one of them with a step, such as H/%d", f.name, item, example, 2)
	}
	if lo, err = f.value(loText); err != nil {
		return 0, 0, 0, err
	}
	if hi, err = f.value(hiText); err != nil {
		return 0, 0, 0, err
	}
	if f == &weekdayField && hi == 0 && lo > 0 {
		hi = 7 // FRI-SUN
	}
	if lo > hi {
		return 0, 0, 0, fmt.Errorf("%s %q: the range ends before it begins; expected the smaller one first, such as H(%s-%s)", f.name, item, hiText, loText)
	}
	return lo, hi, step, nil
}

// values writes out the values from one to another, each step apart.
func (f *cronField) values(lo, hi, step int) string {
	var out []string
	for v := lo; v <= hi; v += step {
		if f == &weekdayField {
			out = append(out, strconv.Itoa(v%7))
		} else {
			out = append(out, strconv.Itoa(v))
		}
	}
	return strings.Join(out, ",")
}

// insteadOfTilde is what to write for OpenBSD's "~" and "5~20".
func (f *cronField) insteadOfTilde(item string) string {
	lo, hi, _ := strings.Cut(item, "~")
	if hi, _, _ = strings.Cut(hi, "/"); isDigits(lo) && isDigits(hi) {
		return "H(" + lo + "-" + hi + ")"
	}
	return "H"
}

// spreadHash is what H takes its value from: the same for ever, in every version
// and on every node. Each field has a value of its own, so that H in two fields
// of one job does not go together.
func spreadHash(f *cronField, job string) uint64 {
	sum := sha256.Sum256([]byte(f.name + "\x00" + job))
	return binary.BigEndian.Uint64(sum[:])
}
