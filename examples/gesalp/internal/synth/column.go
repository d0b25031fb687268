// Package synth learns a simple model of each column of a table and makes
// synthetic rows from it. Columns are independent of each other.
package synth

import (
	"math"
	"sort"
	"strconv"
	"strings"
)

// Kind says how a column is modelled.
type Kind string

// Kinds of column.
const (
	Number   Kind = "number"   // normal distribution within what was seen
	Category Kind = "category" // the values seen, as often as they were seen
	Text     Kind = "text"     // too many values to be categories: never given away, replaced by tokens
)

// Bins is the number of bars of a numeric column's histogram.
const Bins = 20

// maxCategories is how many different values a category may have. More of them
// are likely names or keys, which must not leak into synthetic rows.
const maxCategories = 50

// maxDecimals bounds the digits after the point that are kept.
const maxDecimals = 9

// Column is the model of one column.
type Column struct {
	Name    string  `json:"name"`
	Kind    Kind    `json:"kind"`
	Missing float64 `json:"missing"` // share of empty cells, 0 to 1

	Mean      float64 `json:"mean,omitempty"`
	SD        float64 `json:"sd,omitempty"` // of the population
	Min       float64 `json:"min,omitempty"`
	Max       float64 `json:"max,omitempty"`
	Decimals  int     `json:"decimals,omitempty"`  // digits after the point
	Histogram []int   `json:"histogram,omitempty"` // Bins counts from Min to Max

	Values []Value `json:"values,omitempty"` // most frequent first
}

// Value is one value of a category.
type Value struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

func learnColumn(name string, cells []string) Column {
	c := Column{Name: name}
	filled := make([]string, 0, len(cells))
	for _, s := range cells {
		if s = strings.TrimSpace(s); s != "" {
			filled = append(filled, s)
		}
	}
	if len(cells) > 0 {
		c.Missing = float64(len(cells)-len(filled)) / float64(len(cells))
	}
	if numbers, ok := parseNumbers(filled); ok {
		c.learnNumbers(numbers, filled)
		return c
	}
	c.learnValues(filled)
	return c
}

func parseNumbers(cells []string) ([]float64, bool) {
	numbers := make([]float64, 0, len(cells))
	for _, s := range cells {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.Abs(f) > 1e15 {
			return nil, false
		}
		numbers = append(numbers, f)
	}
	return numbers, len(numbers) > 0
}

func (c *Column) learnNumbers(numbers []float64, cells []string) {
	c.Kind = Number
	c.Min, c.Max = math.Inf(1), math.Inf(-1)
	var mean, m2 float64 // Welford: stable where the mean is large and the spread small
	for i, f := range numbers {
		c.Min, c.Max = min(c.Min, f), max(c.Max, f)
		d := f - mean
		mean += d / float64(i+1)
		m2 += d * (f - mean)
		c.Decimals = max(c.Decimals, decimals(cells[i]))
	}
	c.Mean, c.SD = mean, math.Sqrt(m2/float64(len(numbers)))
	c.Histogram = c.Count(numbers)
}

// Count sorts numbers into the bars of the column's histogram; what lies outside
// of Min and Max goes into the first or last bar.
func (c Column) Count(numbers []float64) []int {
	bars := make([]int, Bins)
	width := (c.Max - c.Min) / Bins
	for _, f := range numbers {
		i := 0
		if width > 0 {
			i = int((f - c.Min) / width)
		}
		bars[min(max(i, 0), Bins-1)]++
	}
	return bars
}

func (c *Column) learnValues(cells []string) {
	c.Kind = Category
	seen := map[string]int{}
	for _, s := range cells {
		seen[s]++
	}
	if len(seen) > maxCategories {
		c.Kind = Text
		return
	}
	for text, n := range seen {
		c.Values = append(c.Values, Value{text, n})
	}
	sort.Slice(c.Values, func(i, j int) bool {
		a, b := c.Values[i], c.Values[j]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Text < b.Text
	})
}

// decimals counts the digits after the point of a plain number.
func decimals(s string) int {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	_, fraction, _ := strings.Cut(mantissa, ".")
	shift, _ := strconv.Atoi(exponent)
	return min(max(len(fraction)-shift, 0), maxDecimals)
}
