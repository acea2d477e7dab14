// Compare runs benchmarks of this module in turns (A B C A B C ...), so that a
// noisy moment of the machine hits all of them alike, and prints the median of
// every metric, with the lowest and the highest, as a Markdown table:
//
//	go run ./compare -rounds 5 -benchtime 200000x 'Lives$' LivesLimit LivesAsynq/status-kept
//
// With -ratio METRIC it adds how many times the first row has the others' value.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "how often each benchmark runs")
	benchtime := flag.String("benchtime", "1x", "as in go test")
	ratio := flag.String("ratio", "", "the metric to compare rows by")
	flag.Parse()
	if flag.NArg() == 0 {
		log.Fatal("compare: expected patterns of benchmarks, as in go test -bench")
	}
	if err := run(*rounds, *benchtime, *ratio, flag.Args()); err != nil {
		log.Fatalf("compare: %v", err)
	}
}

func run(rounds int, benchtime, ratio string, patterns []string) error {
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bench.test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, "carillon/bench").CombinedOutput(); err != nil {
		return fmt.Errorf("build the benchmarks: %w\n%s", err, out)
	}
	t := &table{ratio: ratio}
	for round := range rounds {
		for _, pattern := range patterns {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, pattern)
			cmd := exec.Command(binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", pattern, err, out)
			}
			if t.read(out) == 0 {
				return fmt.Errorf("%s: no benchmark of that name", pattern)
			}
		}
	}
	t.print(os.Stdout)
	return nil
}

// table is what was measured: rows are benchmarks, columns metrics, in the order
// in which they came.
type table struct {
	ratio      string
	rows, cols []string
	values     map[[2]string][]float64
}

// result is BenchmarkName-2  1  0.5 p50-ms  3 lost
var result = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// read takes in the output of one run and returns how many results it had.
func (t *table) read(output []byte) (results int) {
	for scan := bufio.NewScanner(bytes.NewReader(output)); scan.Scan(); {
		m := result.FindStringSubmatch(scan.Text())
		if m == nil {
			continue
		}
		results++
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				t.add(m[1], fields[i+1], v)
			}
		}
	}
	return results
}

func (t *table) add(row, col string, v float64) {
	if t.values == nil {
		t.values = make(map[[2]string][]float64)
	}
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	if !slices.Contains(t.cols, col) {
		t.cols = append(t.cols, col)
	}
	t.values[[2]string{row, col}] = append(t.values[[2]string{row, col}], v)
}

func (t *table) print(w *os.File) {
	head, rule := "| benchmark |", "|---|"
	for _, col := range t.cols {
		head, rule = head+" "+col+" |", rule+"---|"
	}
	if t.ratio != "" {
		head, rule = head+" ratio |", rule+"---|"
	}
	fmt.Fprintf(w, "%s\n%s\n", head, rule)
	for _, row := range t.rows {
		fmt.Fprintf(w, "| %s |", row)
		for _, col := range t.cols {
			fmt.Fprintf(w, " %s |", cell(t.values[[2]string{row, col}]))
		}
		if t.ratio != "" {
			first, mine := t.values[[2]string{t.rows[0], t.ratio}], t.values[[2]string{row, t.ratio}]
			fmt.Fprintf(w, " %.2f |", median(first)/median(mine))
		}
		fmt.Fprintln(w)
	}
}

// cell is the median, and the lowest and the highest where they differ.
func cell(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	low, mid, high := number(slices.Min(v)), number(median(v)), number(slices.Max(v))
	if low == high {
		return mid
	}
	return fmt.Sprintf("%s (%s to %s)", mid, low, high)
}

// number has three digits that count, and no exponent.
func number(v float64) string {
	if v >= 100 || v == float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
