package jobs

import (
	"strings"
	"time"
)

// Nearest returns the known word that the misspelt word most likely meant, and
// whether there is one worth offering: the same letters in another case, at
// most a third of the letters wrong (swapped neighbours count once), or an
// unambiguous beginning of at least three letters. Of equals the first in the
// alphabet wins.
func Nearest(word string, known []string) (string, bool) {
	if word == "" || len(word) > 128 {
		return "", false
	}
	lower := strings.ToLower(word)
	folded := make([]string, len(known))
	original := make(map[string]string, len(known))
	for i, k := range known {
		folded[i] = strings.ToLower(k)
		if _, taken := original[folded[i]]; !taken {
			original[folded[i]] = k
		}
	}
	limit := max(1, len(word)/3)
	if len(word) == 1 {
		limit = 0 // every other letter is one mistake away
	}
	if near := nearest(lower, folded, limit); near != "" {
		return original[near], true
	}
	if len(word) < 3 {
		return "", false
	}
	begins := ""
	for _, k := range folded {
		if strings.HasPrefix(k, lower) {
			if begins != "" && begins != k {
				return "", false
			}
			begins = k
		}
	}
	return original[begins], begins != ""
}

// joined lists words in a sentence: "a, b or c".
func joined(words []string, conjunction string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}

// didYouMean is the tail of a message: `; did you mean "x"?`, or nothing.
func didYouMean(word string, known []string) string {
	if k, ok := Nearest(word, known); ok {
		return "; did you mean \"" + k + "\"?"
	}
	return ""
}

// DurationText is a duration without its empty parts: 10m, not 10m0s. The schedule
// file reads it back as the same.
func DurationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
