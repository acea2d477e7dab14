package jobs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longFile is a file of n jobs with something of everything that jobs have in
// common. Each follows or shares with one far away; wrong are those with a mistake.
func longFile(n int, wrong ...int) string {
	var s strings.Builder
	s.WriteString(`
timezone: Europe/Berlin
groups: {one: {}}
calendars: {holidays: {dates: [12-25]}, weekend: {weekdays: [sat, sun]}}
defaults: {timeout: 10m, env: {A: b}, retry: {attempts: 3, on: [1, 75]}}
jobs:
`)
	for i := range n {
		fmt.Fprintf(&s, "  job-%03d:\n", i)
		switch i % 5 {
		case 0:
			fmt.Fprintf(&s, "    schedule: \"%d 2 * * *\"\n", i/5%10)
		case 1:
			s.WriteString("    schedule: [\"@every 5m\", \"30 2 * * MON\"]\n    timezone: America/New_York\n")
		case 2:
			s.WriteString("    schedule: \"0 9 * * *\"\n    exclude: [holidays, weekend]\n    shift: next-business-day\n")
		case 3:
			fmt.Fprintf(&s, "    after: {job: job-%03d}\n", (i+n/2)%n/5*5)
		case 4:
			s.WriteString("    schedule: \"H H * * *\"\n    group: one\n    env: {B: c}\n")
		}
		for _, w := range wrong {
			if w == i {
				s.WriteString("    priorty: 3\n")
			}
		}
		s.WriteString("    run: ./job.sh\n")
	}
	return s.String()
}

// inOrder parses as a machine with one core would.
func inOrder(t *testing.T, text string) (*Schedule, []Problem) {
	d := newDecoder("f.yaml")
	s := &Schedule{Timezone: "UTC", MaxWait: defaultMaxWait, byName: map[string]*Job{}}
	doc := d.parse([]byte(text))
	require.NotNil(t, doc)
	d.allow(doc)
	f := fileValue{schedule: s, defaults: jobValue{job: newJob()}}
	rest := fileShape
	rest.fields = append(rest.fields[:len(rest.fields)-1:len(rest.fields)-1], field[fileValue]{"jobs", func(d *decoder, e entry, f *fileValue) {
		entries, _ := d.mapping(e, "", "")
		if d.readInOrder(entries, f) {
			d.checkLinks(f.links, entries)
		}
		s.Jobs = f.jobs
	}})
	require.Equal(t, "jobs", fileShape.fields[len(fileShape.fields)-1].key)
	_, _ = object(d, entry{key: "the file", at: doc, value: doc}, &rest, "", &f)
	return s, d.problems
}

func TestAFileReadInHalvesIsTheSame(t *testing.T) {
	for _, n := range []int{worthHalving - 1, worthHalving, worthHalving + 1, 3*worthHalving + 5} {
		text := longFile(n)
		want, problems := inOrder(t, text)
		require.Empty(t, problems)
		got, err := Parse("f.yaml", []byte(text))
		require.NoError(t, err)
		require.Len(t, got.Jobs, n)
		shared := map[*Spec]*Spec{}
		for i, j := range got.Jobs {
			j.Followers = nil // they are found after the reading
			require.Equal(t, want.Jobs[i], j)
			for k, spec := range want.Jobs[i].Specs {
				if before, known := shared[spec]; known {
					require.Same(t, before, j.Specs[k], "%s of %s is shared with an earlier job", spec, j.Name)
				}
				shared[spec] = j.Specs[k]
			}
		}
	}
}

func TestMistakesAreTheSameWhereverTheFileIsCut(t *testing.T) {
	n := 2 * worthHalving
	many := make([]int, n)
	for i := range many {
		many[i] = i
	}
	for _, wrong := range [][]int{{3}, {n - 1}, {n/2 - 1, n / 2}, {n - 2, 7}, many} {
		text := longFile(n, wrong...)
		_, want := inOrder(t, text)
		_, err := Parse("f.yaml", []byte(text))
		require.Error(t, err)
		assert.Equal(t, newFileError(want).Error(), err.Error())
	}
	_, err := Parse("f.yaml", []byte(strings.Replace(longFile(n), "{job: job-", "{job: job-1", 1)))
	assert.ErrorContains(t, err, "which is no job of this file", "what concerns several jobs is checked as well")
}
