package jobs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheTableIsWhole(t *testing.T) {
	require.Len(t, moves, len(States()), "a state without a row, or twice in the list")
	for _, s := range States() {
		assert.True(t, s.Known(), s)
		for _, next := range s.Moves() {
			assert.True(t, next.Known(), "%s -> %s", s, next)
			assert.NotEqual(t, s, next, "a move goes somewhere")
			assert.NotEqual(t, Succeeded, s)
		}
		assert.Len(t, s.Moves(), len(slices.Compact(slices.Sorted(slices.Values(s.Moves())))), "%s: a move twice", s)
		for _, next := range States() {
			assert.Equal(t, slices.Contains(s.Moves(), next), s.CanMove(next))
		}
	}
	for _, odd := range []State{"", "QUEUED", "done", "rolling back"} {
		assert.False(t, odd.Known(), odd)
		assert.False(t, odd.Final(), odd)
		assert.Empty(t, odd.Moves(), odd)
		assert.False(t, odd.CanMove(Queued), odd)
	}
}

func TestEveryStateIsReached(t *testing.T) {
	reached := []State{Queued}
	for i := 0; i < len(reached); i++ {
		for _, next := range reached[i].Moves() {
			if !slices.Contains(reached, next) {
				reached = append(reached, next)
			}
		}
	}
	assert.ElementsMatch(t, States(), reached)
}

// From wherever a run is, it can come to an end.
func TestEveryStateLeadsToAnEnd(t *testing.T) {
	for _, s := range States() {
		from := []State{s}
		for i := 0; i < len(from) && !from[i].Final(); i++ {
			from = append(from, from[i].Moves()...)
			require.Less(t, i, 1000, "%s never ends", s)
		}
		assert.True(t, slices.ContainsFunc(from, State.Final), s)
	}
}

func TestFinalIsFinal(t *testing.T) {
	finals := []State{Succeeded, Failed, Canceled, RolledBack, RollbackFailed}
	for _, s := range States() {
		assert.Equal(t, slices.Contains(finals, s), s.Final(), s)
		if s.Final() && s != RollbackFailed {
			assert.Empty(t, s.Moves(), s)
		}
	}
	assert.Equal(t, []State{RollingBack}, RollbackFailed.Moves(), "resumed by hand, and nothing else")
}

// What has begun to be undone ends as undone, or as what somebody must look at.
func TestNobodyLeavesARollback(t *testing.T) {
	assert.ElementsMatch(t, []State{RolledBack, RollbackFailed}, RollingBack.Moves())
	for _, s := range States() {
		assert.Equal(t, s == RollingBack, s.CanMove(RolledBack), s)
		assert.Equal(t, s == RollingBack, s.CanMove(RollbackFailed), s)
		assert.Equal(t, s == Running, s.CanMove(Succeeded), s)
	}
}

func TestWhenMeets(t *testing.T) {
	met := map[When][]State{
		WhenSuccess: {Succeeded},
		WhenFailure: {Failed, RolledBack, RollbackFailed},
		WhenDone:    {Succeeded, Failed, Canceled, RolledBack, RollbackFailed},
		"":          nil,
		"always":    nil,
	}
	for when, states := range met {
		for _, s := range append(States(), "", "done") {
			assert.Equal(t, slices.Contains(states, s), when.Meets(s), "%s meets %s", s, when)
		}
	}
}

// statesPage is what docs/states.md draws and says: "from to" -> who.
func statesPage(t *testing.T) (drawn, said map[string]string) {
	t.Helper()
	data, err := os.ReadFile("../docs/states.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(data), "```mermaid\nstateDiagram-v2\n")
	require.True(t, found, "there is no diagram")
	diagram, text, found := strings.Cut(rest, "\n```\n")
	require.True(t, found, "the diagram has no end")
	drawn, said = map[string]string{}, map[string]string{}
	arrow := regexp.MustCompile(`^    (\[\*\]|[a-z_]+) --> (\[\*\]|[a-z_]+)(?: : ([a-z_, ]+))?$`)
	for line := range strings.SplitSeq(diagram, "\n") {
		m := arrow.FindStringSubmatch(line)
		require.NotNil(t, m, "not an arrow: %q", line)
		require.NotContains(t, drawn, m[1]+" "+m[2], "drawn twice")
		drawn[m[1]+" "+m[2]] = m[3]
	}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(\\w+)` \\| ([a-z_, ]+) \\| (.+) \\|$")
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		require.NotContains(t, said, m[1]+" "+m[2], "said twice")
		said[m[1]+" "+m[2]] = m[3]
		assert.NotEmpty(t, strings.TrimSpace(m[4]))
	}
	return drawn, said
}

func TestTheDiagramIsTheTable(t *testing.T) {
	drawn, said := statesPage(t)
	want := []string{"[*] queued"}
	for _, s := range States() {
		for _, next := range s.Moves() {
			want = append(want, string(s)+" "+string(next))
		}
		if s.Final() {
			want = append(want, string(s)+" [*]")
		}
	}
	assert.ElementsMatch(t, want, sortedKeys(drawn), "docs/states.md draws another table")
	for edge, who := range drawn {
		if strings.Contains(edge, "[*]") {
			assert.NotContains(t, said, edge)
			continue
		}
		assert.Equal(t, who, said[edge], "%s: the diagram and the text", edge)
		require.NotEmpty(t, who, edge)
		for script := range strings.SplitSeq(who, ", ") {
			assert.FileExists(t, filepath.Join("../internal/redisstore/lua", script+".lua"), edge)
		}
	}
	for edge := range said {
		assert.Contains(t, drawn, edge)
	}
}
