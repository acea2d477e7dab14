package carillon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"carillon/jobs"
)

func TestHolderOfAToken(t *testing.T) {
	for token, want := range map[string][2]string{
		"web-1:5ccb32b2653cfcda:3": {"web-1", "5ccb32b2653cfcda"},
		"a:b:5ccb32b2653cfcda:12":  {"a:b", "5ccb32b2653cfcda"},
		"":                         {},
		"x":                        {},
		"x:1":                      {},
	} {
		name, boot := holderOf(token)
		assert.Equal(t, want, [2]string{name, boot}, token)
	}
}

// published is a Redis in which schedules are published, by digest.
type published struct {
	marks         map[string]jobs.Marks
	scheduled     map[string]bool
	err           error
	asked, loaded int
}

func (p *published) Leader(context.Context) (jobs.Leadership, bool, error) {
	return jobs.Leadership{}, false, p.err
}
func (p *published) DigestOf(context.Context, string, string) (string, error) { return "", p.err }

func (p *published) Marks(_ context.Context, digests []string) (map[string]jobs.Marks, error) {
	p.loaded++
	return map[string]jobs.Marks{digests[0]: p.marks[digests[0]]}, p.err
}

func (p *published) Shares(_ context.Context, digest string, names []string) (shares, known bool, err error) {
	p.asked++
	marks, known := p.marks[digest]
	for _, name := range names {
		shares = shares || marks[name] != "" || marks["@"+name] != ""
	}
	return shares, known, p.err
}

func (p *published) Scheduled(_ context.Context, names []string) (bool, error) {
	for _, name := range names {
		if p.scheduled[name] {
			return true, p.err
		}
	}
	return false, p.err
}

func nodeWith(t *testing.T, text string) *Node {
	t.Helper()
	s, err := jobs.Parse("schedule.yaml", []byte(text))
	require.NoError(t, err)
	return &Node{definitions: newDefinitions(s), boot: "boot", log: slog.New(slog.DiscardHandler)}
}

// An election asks about every live node at each look. What others have is read once, and what could not
// be read is not asked for again at once: the next look has something else to do.
func TestWhetherOthersAreStrangersIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		store := &published{marks: map[string]jobs.Marks{"kin": {"x": "1", "a": "1"}, "renamed": {"@a": "1", "new": "1"}, "strange": {"z": "1"}}}
		s := newStrangers(nodeWith(t, "{jobs: {a: {run: echo}}}"), store)
		is := func(digest string, strange bool, asked int) {
			t.Helper()
			before := store.asked
			for range 10 {
				require.Equal(t, strange, s.to(ctx, digest), digest)
			}
			require.Equal(t, asked, store.asked-before, digest)
		}
		store.err = errors.New("i/o timeout")
		is("strange", false, 1)
		is("kin", false, 1)
		store.err = nil
		is("strange", false, 0)
		time.Sleep(unknownFor + time.Second)
		is("strange", true, 1)
		is("kin", false, 1)
		is("renamed", false, 1)
		is("unpublished", false, 1)
		time.Sleep(time.Hour)
		is("kin", false, 0)
		is("strange", true, 1)
		is("unpublished", false, 1)

		// What is known is known while Redis is slow.
		time.Sleep(time.Hour)
		store.err = errors.New("i/o timeout")
		is("strange", true, 1)
		store.err = nil

		// A node that was publishing has something in common after all.
		store.marks["strange"]["a"] = "1"
		time.Sleep(strangeFor + time.Second)
		is("strange", false, 1)
		time.Sleep(time.Hour)
		is("strange", false, 0)

		for n := range 3 * pairsKept {
			s.to(ctx, fmt.Sprint(n))
			require.LessOrEqual(t, len(s.known), pairsKept)
		}
		s.node.definitions.replace(nodeWith(t, "{jobs: {z: {run: echo}}}").Schedule())
		is("kin", true, 1)
	})
}

// A follower that holds back for another fleet asks whose jobs are scheduled at each look, but
// reads once which jobs those are.
func TestHoldingBackReadsOnceWhatOthersHave(t *testing.T) {
	ctx := context.Background()
	store := &published{marks: map[string]jobs.Marks{"theirs": {"z": "1", "@y": "1"}}, scheduled: map[string]bool{"y": true}}
	s := newStrangers(nodeWith(t, "{jobs: {a: {run: echo}}}"), store)
	others := []jobs.Node{{Name: "n2", Digest: "theirs"}}
	store.err = errors.New("i/o timeout")
	_, err := s.hold(ctx, others)
	require.ErrorIs(t, err, store.err)
	store.err = nil
	for range 5 {
		why, err := s.hold(ctx, others)
		require.NoError(t, err)
		require.Contains(t, why, "node n2 has jobs that are scheduled here")
	}
	require.Equal(t, 1, store.loaded)
	store.scheduled["a"] = true
	why, err := s.hold(ctx, others)
	require.NoError(t, err)
	require.Empty(t, why)
	for n := range 3 * namesKept {
		digest := fmt.Sprint(n)
		store.marks[digest] = jobs.Marks{"z": "1"}
		names, err := s.theirs(ctx, digest)
		require.NoError(t, err)
		require.Equal(t, []string{"z"}, names)
		require.LessOrEqual(t, len(s.names), namesKept)
	}
}
