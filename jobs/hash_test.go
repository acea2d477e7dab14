package jobs

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// spreadSpec reads an expression of the job of that name.
func spreadSpec(t testing.TB, expr, name string) *Spec {
	t.Helper()
	s, err := NewSpec(expr, SpecOptions{Name: name})
	require.NoError(t, err, expr)
	return s
}

// What H means is for ever: a new version must not move anybody's jobs.
func TestSpreadIsPinned(t *testing.T) {
	for _, c := range []struct{ name, expr, plain string }{
		{"nightly-backup", "H H H H H", "49 0 28 4 6"},
		{"report", "H H * * *", "48 18 * * *"},
		{"report", "H H H * * *", "18 48 18 * * *"},
		{"report", "H(0-29) H(9-17) * * *", "18 15 * * *"},
		{"report", "H/15 * * * *", "3,18,33,48 * * * *"},
		{"report", "H(0-29)/10 * * * *", "8,18,28 * * * *"},
		{"report", "0 0 H * *", "0 0 19 * *"},
		{"report", "0 0 H/7 * *", "0 0 5,12,19,26 * *"},
		{"report", "0 0 * H H(MON-FRI)", "0 0 * 12 1"},
		{"report", "0 0 * * H(FRI-SUN)/2", "0 0 * * 6"},
		{"report", "H/90 h * * *", "48 18 * * *"},
		{"report", "0,H(30-59) 0 * * *", "0,48 0 * * *"},
		{"Größe", "H H * * *", "32 19 * * *"},
	} {
		got := spreadSpec(t, c.expr, c.name)
		want := parse(t, c.plain, nil)
		assert.Equal(t, want.cal, got.cal, "%s %s", c.name, c.expr)
		assert.Equal(t, c.expr, got.String())
	}
}

func TestSpreadIsRejected(t *testing.T) {
	for _, c := range []struct{ expr, message string }{
		{"H(30-10) * * * *", `minute "H(30-10)": the range ends before it begins; expected the smaller one first, such as H(10-30)`},
		{"H(0-60) * * * *", `minute "60": expected 0-59`},
		{"H() * * * *", `minute "H()": expected H, H(1-4), or one of them with a step, such as H/2`},
		{"H(5) * * * *", `minute "H(5)": expected H, H(1-4)`},
		{"H(1-2-3) * * * *", `minute "H(1-2-3)": expected H, H(1-4)`},
		{"H(0-29 * * * *", `minute "H(0-29": expected H, H(1-4)`},
		{"H0-29) * * * *", `minute "H0-29)": expected H, H(1-4)`},
		{"H-5 * * * *", `minute "H-5": expected H, H(1-4)`},
		{"H/0 * * * *", `minute "H/0": expected a step of at least 1`},
		{"H/ * * * *", `minute "H/": expected a whole number of at least 1 as the step`},
		{"H/5/5 * * * *", `minute "H/5/5": expected a whole number of at least 1 as the step`},
		{"0 HH * * *", `hour "HH": expected H, H(1-4)`},
		{"0 0 H(0-5) * *", `day of month "0": expected 1-31`},
		{"0 0 * * H(fri-mon)", `day of week "H(fri-mon)": the range ends before it begins`},
		{"0~59 * * * *", `minute "0~59": "~" is another cron's word for a random value; write H(0-59), which the job's name decides`},
		{"~ * * * *", `minute "~": "~" is another cron's word for a random value; write H, which`},
		{"0~59/10 * * * *", `write H(0-59)`},
	} {
		_, err := NewSpec(c.expr, SpecOptions{Name: "a-job"})
		if assert.Error(t, err, c.expr) {
			assert.Contains(t, err.Error(), c.message, c.expr)
		}
	}
	_, err := ParseSpec("0 H * * *", nil)
	require.ErrorContains(t, err, `hour "H": H is spread by the job's name, and none is given`)
}

// H is no star: a job that names its time by H is a fixed time, and its day
// fields are not open.
func TestSpreadIsNoWildcard(t *testing.T) {
	assert.False(t, spreadSpec(t, "H H * * *", "x").wildcard)
	assert.False(t, spreadSpec(t, "H/5 H * * *", "x").wildcard)
	assert.True(t, spreadSpec(t, "H * * * *", "x").wildcard)
	assert.True(t, spreadSpec(t, "0 0 H * H", "x").cal.either)
	assert.False(t, spreadSpec(t, "0 0 H * *", "x").cal.either)
}

// requireUniform is a chi-squared test that a good hash fails once in a million.
func requireUniform(t *testing.T, counts []int) {
	t.Helper()
	total := 0
	for _, n := range counts {
		total += n
	}
	want := float64(total) / float64(len(counts))
	var chi float64
	for _, n := range counts {
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	freedom := float64(len(counts) - 1)
	require.Less(t, chi, freedom+4.8*math.Sqrt(2*freedom)+15, "%v", counts)
}

// Names that differ little get values that have nothing to do with each other,
// and so do the fields of one name.
func TestSpreadIsUniform(t *testing.T) {
	for _, f := range fieldsInOrder {
		for _, form := range []string{"job-%d", "%d", "backup-of-db%03d-nightly", "%[1]d-%[1]d"} {
			lo, hi, _, err := f.hashed("H")
			require.NoError(t, err)
			counts := make([]int, hi-lo+1)
			for n := range 20_000 {
				counts[spreadHash(f, fmt.Sprintf(form, n))%uint64(len(counts))]++
			}
			requireUniform(t, counts)
		}
	}
	pairs := make([]int, 24*60)
	for n := range 100_000 {
		name := fmt.Sprintf("job-%d", n)
		pairs[spreadHash(&minuteField, name)%60*24+spreadHash(&hourField, name)%24]++
	}
	requireUniform(t, pairs)
}
