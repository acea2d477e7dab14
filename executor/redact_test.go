package executor

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plainRedact is the redactor as anybody would write it who may look at the whole
// stream at once.
func plainRedact(text string, texts []string) string {
	hidden := make([]bool, len(text))
	for _, t := range distinct(texts, leastRedacted) {
		for i := range len(text) { // bytes, not characters
			if strings.HasPrefix(text[i:], t) {
				for k := range len(t) {
					hidden[i+k] = true
				}
			}
		}
	}
	// The longest beginning of a text that the stream ends with.
	longest := 0
	for _, t := range distinct(texts, leastRedacted) {
		for n := leastRedacted; n <= len(t); n++ {
			if strings.HasSuffix(text, t[:n]) {
				longest = max(longest, n)
			}
		}
	}
	for i := len(text) - longest; i < len(text); i++ {
		hidden[i] = true
	}
	var out strings.Builder
	for i := range len(text) {
		if !hidden[i] {
			out.WriteByte(text[i])
		} else if i == 0 || !hidden[i-1] {
			out.WriteString(redacted)
		}
	}
	return out.String()
}

func TestRedactor(t *testing.T) {
	for name, c := range map[string]struct {
		texts []string
		in    []string // writes
		out   string
	}{
		"nothing to hide":               {nil, []string{"plain ", "text"}, "plain text"},
		"no text":                       {[]string{"secret"}, nil, ""},
		"one":                           {[]string{"secret"}, []string{"a secret b"}, "a *** b"},
		"across two writes":             {[]string{"secret"}, []string{"a sec", "ret b"}, "a *** b"},
		"byte by byte":                  {[]string{"secret"}, strings.Split("a secret b", ""), "a *** b"},
		"a false start":                 {[]string{"secret"}, []string{"sesecre", "d secsecret"}, "sesecred sec***"},
		"short ones stay":               {[]string{"abc", "", "a"}, []string{"abc"}, "abc"},
		"overlapping":                   {[]string{"abcdef", "defghi"}, []string{"-abcdefghi-"}, "-***-"},
		"overlapping, split":            {[]string{"abcdef", "defghi"}, []string{"-abcde", "fgh", "i-"}, "-***-"},
		"overlapping itself":            {[]string{"abab"}, []string{"xababab", "y"}, "x***y"},
		"one within another":            {[]string{"pass", "mypassword"}, []string{"mypassword mypass pass"}, "*** my*** ***"},
		"the longer fails":              {[]string{"1234", "0123456789"}, []string{"01234567x"}, "0***567x"},
		"the longer fails, held back":   {[]string{"1234", "0123456789"}, []string{"01234", "567", "x"}, "0***567x"},
		"touching":                      {[]string{"abcd"}, []string{"abcd", "abcd!"}, "***!"},
		"cut off":                       {[]string{"secret"}, []string{"a secr"}, "a ***"},
		"cut off early":                 {[]string{"secret"}, []string{"a sec"}, "a sec"},
		"several lines":                 {[]string{"-----\nabcd\n-----"}, []string{"key:\n-----\n", "abcd\n--", "---\nend\n"}, "key:\n***\nend\n"},
		"what is no text":               {[]string{"\xff\x00\xfe\xfd"}, []string{"\xff\xff\x00", "\xfe\xfd\x00"}, "\xff***\x00"},
		"stars":                         {[]string{"****"}, []string{"***", "**"}, "***"},
		"part of a stretch, then plain": {[]string{"abcd", "cdefgh"}, []string{"abcdefg", "x"}, "***efgx"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := NewRedactor(&out, c.texts...)
			for _, p := range c.in {
				n, err := io.WriteString(r, p)
				require.NoError(t, err)
				require.Equal(t, len(p), n)
			}
			require.NoError(t, r.Cut())
			assert.Equal(t, c.out, out.String())
			assert.Equal(t, c.out, plainRedact(strings.Join(c.in, ""), c.texts), "the oracle agrees")
			assert.Equal(t, c.out, redactText(newMatcher(distinct(c.texts, leastRedacted)), strings.Join(c.in, "")))
		})
	}
}

func TestRedactorGoesOnAfterACut(t *testing.T) {
	var out bytes.Buffer
	r := NewRedactor(&out, "secret")
	io.WriteString(r, "x secre")
	require.NoError(t, r.Cut())
	io.WriteString(r, "t secret y")
	require.NoError(t, r.Cut())
	assert.Equal(t, "x ***t *** y", out.String())
}

func TestRedactorHoldsBackNoMoreThanItMust(t *testing.T) {
	var out bytes.Buffer
	r := NewRedactor(&out, "secret", "other secret")
	io.WriteString(r, "progress: 10 %")
	assert.Equal(t, "progress: 10 %", out.String())
	io.WriteString(r, " o")
	assert.Equal(t, "progress: 10 % ", out.String())
}

func TestRedactorSaysThatItsWriterFailed(t *testing.T) {
	broken := errors.New("disk full")
	_, err := NewRedactor(iotest.TruncateWriter(writerFunc(func([]byte) (int, error) { return 0, broken }), 10), "secret").Write([]byte("text"))
	require.ErrorIs(t, err, broken)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A stream of any length leaves nothing behind in the redactor.
func TestRedactorIsBounded(t *testing.T) {
	long := strings.Repeat("abcdefg-", 8<<10)
	r := NewRedactor(io.Discard, long, "hunter22")
	big := []byte(strings.Repeat("hunter22 ", 1<<20))
	for range 4 {
		r.Write(big)
		r.Write([]byte(long[:len(long)-1])) // never the whole of it
	}
	assert.LessOrEqual(t, cap(r.text), 4*(len(long)+redactBlock))
	assert.LessOrEqual(t, cap(r.clean), 4*(len(long)+redactBlock))
	assert.LessOrEqual(t, cap(r.hidden), 4*redactBlock)
}

// FuzzRedactor compares the redactor with the plain one, on a small alphabet so
// that texts overlap, however the stream is cut into writes.
func FuzzRedactor(f *testing.F) {
	f.Add([]byte("abcabcabcabc"), []byte("abcabc"), []byte("cabca"), []byte("bcab"), uint64(1))
	f.Add([]byte("aaaaaaaaaaaa"), []byte("aaaa"), []byte("aaaaaa"), []byte("b"), uint64(2))
	f.Add([]byte("a secret here, cut of secr"), []byte("secret"), []byte("here"), []byte("cut of"), uint64(3))
	f.Fuzz(func(t *testing.T, stream, one, two, three []byte, seed uint64) {
		if len(stream) > 4096 || len(one)+len(two)+len(three) > 1024 {
			return
		}
		check := func(stream []byte, texts ...string) {
			var out bytes.Buffer
			r := NewRedactor(&out, texts...)
			dice := rand.New(rand.NewPCG(seed, 0))
			for rest := stream; len(rest) > 0; {
				n := 1 + dice.IntN(min(len(rest), 9))
				if _, err := r.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := r.Cut(); err != nil {
				t.Fatal(err)
			}
			if want := plainRedact(string(stream), texts); out.String() != want {
				t.Fatalf("%q without %q\nis  %q\nnot %q", stream, texts, out.String(), want)
			}
		}
		check(stream, string(one), string(two), string(three))
		few := func(b []byte) []byte {
			b = bytes.Clone(b)
			for i := range b {
				b[i] = 'a' + b[i]%3
			}
			return b
		}
		check(few(stream), string(few(one)), string(few(two)), string(few(three)))
	})
}

func BenchmarkRedactor(b *testing.B) {
	block := []byte(strings.Repeat("2026-11-22T02:00:00Z INFO copied 4711 rows of orders in 12 ms, password accepted\n", 400))[:32<<10]
	for name, texts := range map[string][]string{
		"one":    {"hunter2-correct-horse"},
		"many":   {"hunter2-correct-horse", "postgres://user:pass@db", "eyJhbGciOiJIUzI1NiJ9", "AKIAIOSFODNN7EXAMPLE", "0a1b2c3d4e5f"},
		"common": {"e e e e e", "copied 4712", "pass", "2026-11-22T03", "INFO copies", "ordinal"},
	} {
		b.Run(name, func(b *testing.B) {
			r := NewRedactor(io.Discard, texts...)
			b.SetBytes(int64(len(block)))
			for b.Loop() {
				r.Write(block)
			}
		})
	}
}
