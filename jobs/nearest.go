package jobs

// nearest is the candidate with the fewest typing mistakes between it and the
// word, at most limit of them, or "". Of equals the first in the alphabet wins,
// so that an error reads the same every time.
func nearest(word string, candidates []string, limit int) string {
	best, fewest := "", limit+1
	for _, c := range candidates {
		d := mistakes(word, c)
		if d < fewest || d == fewest && d <= limit && c < best {
			best, fewest = c, d
		}
	}
	return best
}

// mistakes counts the letters to insert, drop, change or swap with their
// neighbour to make b of a.
func mistakes(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
