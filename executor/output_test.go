package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"carillon/jobs"
)

// memoryLog is a log that can be slow and can fail.
type memoryLog struct {
	mu     sync.Mutex
	next   int
	chunks []jobs.LogChunk
	calls  int
	most   int           // bytes in one call
	delay  time.Duration // of a call
	fail   func(call int) error
	lost   bool // a failing call takes effect nevertheless
}

func (l *memoryLog) AppendLog(ctx context.Context, _ string, add []jobs.LogChunk, drop []string) ([]string, error) {
	if l.delay > 0 {
		select {
		case <-time.After(l.delay):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	var err error
	if l.fail != nil {
		if err = l.fail(l.calls); err != nil && !l.lost {
			return nil, err
		}
	}
	var ids []string
	size := 0
	for _, c := range add {
		l.next++
		c.ID = strconv.Itoa(l.next)
		ids = append(ids, c.ID)
		l.chunks = append(l.chunks, c)
		size += len(c.Data)
	}
	l.most = max(l.most, size)
	l.chunks = slices.DeleteFunc(l.chunks, func(c jobs.LogChunk) bool { return slices.Contains(drop, c.ID) })
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// check compares what the log has with what was written, chunk by chunk, and
// returns the stretches of output that it has.
func (l *memoryLog) check(t require.TestingT, written []byte) (spans [][2]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.chunks {
		require.LessOrEqual(t, endOf(c), int64(len(written)))
		require.True(t, bytes.Equal(written[c.Offset:endOf(c)], c.Data), "the chunk at %d differs from what was written there", c.Offset)
		if n := len(spans); n > 0 && spans[n-1][1] >= c.Offset {
			spans[n-1][1] = max(spans[n-1][1], endOf(c))
			continue
		}
		spans = append(spans, [2]int64{c.Offset, endOf(c)})
	}
	return spans
}

// pattern is output in which every place looks different.
func pattern(n int) []byte {
	p := make([]byte, 0, n+16)
	for len(p) < n {
		p = fmt.Appendf(p, "%d\n", len(p))
	}
	return p[:n]
}

func TestOutputOfAnySizeKeepsHeadAndTail(t *testing.T) {
	for _, size := range []int{0, 1, HeadBytes - 1, HeadBytes, HeadBytes + 1, HeadBytes + TailBytes, HeadBytes + TailBytes + 1, 3 << 20} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &memoryLog{}
				out := NewOutput(log, "run", 2)
				text := pattern(size)
				n, err := out.Write(text)
				require.NoError(t, err)
				require.Equal(t, size, n)
				written, kept := out.Close(t.Context())
				require.EqualValues(t, size, written)
				require.EqualValues(t, min(size, HeadBytes+TailBytes), kept)
				switch spans := log.check(t, text); {
				case size == 0:
					require.Empty(t, spans)
					require.Zero(t, log.calls, "silence costs no round trip")
				case size <= HeadBytes+TailBytes:
					require.Equal(t, [][2]int64{{0, int64(size)}}, spans)
				default:
					require.Equal(t, [][2]int64{{0, HeadBytes}, {int64(size) - TailBytes, int64(size)}}, spans)
				}
				for _, c := range log.chunks {
					require.Equal(t, 2, c.Attempt)
				}
			})
		})
	}
}

func TestOutputStreamsWhileTheJobRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{}
		out := NewOutput(log, "run", 1)
		fmt.Fprint(out, "first\n")
		time.Sleep(flushFirst + time.Millisecond)
		synctest.Wait()
		require.Len(t, log.chunks, 1, "the first line is there after %s", flushFirst)
		for range 1000 { // a line each millisecond
			fmt.Fprint(out, "line\n")
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		require.LessOrEqual(t, log.calls, 1+11, "at most ten flushes a second")
		require.GreaterOrEqual(t, log.calls, 1+9)
		out.Close(t.Context())
	})
}

func TestOutputFasterThanTheLogLeavesGapsButNoHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{delay: 30 * time.Millisecond}
		out := NewOutput(log, "run", 1)
		text := pattern(40 << 20)
		for rest := text; len(rest) > 0; {
			n := min(100<<10, len(rest))
			out.Write(rest[:n])
			rest = rest[n:]
			time.Sleep(5 * time.Millisecond)
		}
		synctest.Wait()
		spans := log.check(t, text)
		require.Greater(t, len(spans), 2, "bytes between were skipped, not sent late")
		require.LessOrEqual(t, log.most, HeadBytes+flushBytes)
		written, kept := out.Close(t.Context())
		require.EqualValues(t, len(text), written)
		spans = log.check(t, text)
		require.Equal(t, [2]int64{0, HeadBytes}, spans[0])
		require.Equal(t, int64(len(text)), spans[len(spans)-1][1])
		require.LessOrEqual(t, spans[len(spans)-1][0], int64(len(text))-TailBytes)
		require.LessOrEqual(t, kept, int64(HeadBytes+TailBytes+chunkBytes))
	})
}

func TestOutputOutlastsALogThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		log := &memoryLog{fail: func(int) error {
			if down {
				return errors.New("redis is away")
			}
			return nil
		}}
		out := NewOutput(log, "run", 1)
		text := pattern(1 << 20)
		out.Write(text[:len(text)/2])
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Less(t, log.calls, 40, "it does not hammer")
		out.Write(text[len(text)/2:])
		go func() {
			time.Sleep(3 * time.Second)
			log.mu.Lock()
			down = false
			log.mu.Unlock()
		}()
		written, kept := out.Close(t.Context())
		require.EqualValues(t, len(text), written)
		require.EqualValues(t, HeadBytes+TailBytes, kept)
		require.Len(t, log.check(t, text), 2)
	})
}

func TestOutputGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, log := range map[string]*memoryLog{
			"failing": {fail: func(int) error { return errors.New("redis is away") }},
			"hanging": {delay: time.Hour},
		} {
			out := NewOutput(log, "run", 1)
			fmt.Fprint(out, "lost")
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			start := time.Now()
			written, kept := out.Close(ctx)
			cancel()
			assert.Equal(t, 2*time.Second, time.Since(start), name)
			assert.EqualValues(t, 4, written)
			assert.Zero(t, kept)
		}
	})
}

func TestOutputWhoseReplyWasLostIsOnlyRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{lost: true, fail: func(call int) error {
			if call%2 == 1 {
				return errors.New("the reply was lost")
			}
			return nil
		}}
		out := NewOutput(log, "run", 1)
		text := pattern(100 << 10)
		out.Write(text)
		_, kept := out.Close(t.Context())
		require.EqualValues(t, len(text), kept)
		var seen int64
		for _, c := range log.chunks { // as a reader does who skips what it has seen
			if endOf(c) > seen {
				require.LessOrEqual(t, c.Offset, seen)
				seen = endOf(c)
			}
		}
		require.EqualValues(t, len(text), seen)
		log.check(t, text)
	})
}

func TestOutputKeepsCharactersWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{}
		out := NewOutput(log, "run", 1)
		text := bytes.Repeat([]byte("añ€😀"), 50_000)
		for rest := text[1:]; len(rest) > 0; { // cut anywhere
			n := min(3001, len(rest))
			out.Write(rest[:n])
			rest = rest[n:]
			time.Sleep(3 * time.Millisecond)
		}
		synctest.Wait()
		out.Close(t.Context())
		require.NotEmpty(t, log.chunks)
		for _, c := range log.chunks {
			if c.Offset != HeadBytes && endOf(c) != HeadBytes {
				require.True(t, utf8.Valid(c.Data), "the chunk at %d", c.Offset)
			}
		}
	})
}

func TestOutputInDribblesStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{}
		out := NewOutput(log, "run", 1)
		out.Write(make([]byte, HeadBytes))
		for range 3 * tailChunks {
			out.Write([]byte{'.'})
			time.Sleep(flushEvery)
		}
		_, kept := out.Close(t.Context())
		require.LessOrEqual(t, len(log.chunks), tailChunks+3)
		require.EqualValues(t, HeadBytes+tailChunks, kept)
	})
}

func TestOutputAfterItsEnd(t *testing.T) {
	out := NewOutput(&memoryLog{}, "run", 1)
	out.Close(t.Context())
	_, err := out.Write([]byte("late"))
	require.ErrorIs(t, err, os.ErrClosed)
}

// The drive behind this: a job that prints without end, and without a newline.
func TestOutputWithoutEndCostsBoundedMemory(t *testing.T) {
	a := newActions(t, 0)
	log := &memoryLog{}
	out := NewOutput(log, "run", 1)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const size = 1 << 30
	report := a.Run(t.Context(), new(script(fmt.Sprintf("head -c %d /dev/zero", size))), out)
	require.NoError(t, report.Err)
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20))
	written, kept := out.Close(t.Context())
	require.EqualValues(t, size, written)
	assert.GreaterOrEqual(t, kept, int64(HeadBytes+TailBytes))
	assert.LessOrEqual(t, kept, int64(HeadBytes+TailBytes+chunkBytes))
}

func TestRingIsTheEndOfWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring
		var all []byte
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, TailBytes+100)), 1, 12).Draw(t, "sizes")
		low := int64(0)
		rng := rand.New(rand.NewPCG(1, uint64(len(sizes))))
		for _, n := range sizes {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			r.write(p)
			all = append(all, p...)
			if rapid.Bool().Draw(t, "drop") {
				to := rapid.Int64Range(0, int64(len(all))).Draw(t, "to")
				r.dropTo(to)
				low = max(low, to)
			}
			start := max(low, int64(len(all)-TailBytes))
			if r.at != start || !bytes.Equal(all[start:], r.copyOut(r.len())) {
				t.Fatalf("after %d bytes the ring has [%d, +%d), want from %d", len(all), r.at, r.len(), start)
			}
			low = start
		}
	})
}
