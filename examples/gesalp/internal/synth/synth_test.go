package synth_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gesalp.example/stack/internal/synth"
)

func learn(t *testing.T, table string) synth.Model {
	t.Helper()
	m, err := synth.Learn(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLearn_NumbersHaveMeanSpreadAndRange(t *testing.T) {
	c := learn(t, "x\n2\n4.5\n\"\"\n4\n5.5\n").Columns[0]
	if c.Kind != synth.Number || c.Mean != 4 || c.Min != 2 || c.Max != 5.5 || c.Decimals != 1 || c.Missing != 0.2 {
		t.Errorf("learned %+v", c)
	}
	if want := math.Sqrt((4 + 0.25 + 0 + 2.25) / 4.0); math.Abs(c.SD-want) > 1e-12 {
		t.Errorf("sd %v, want %v", c.SD, want)
	}
}

func TestLearn_CategoriesAreCounted(t *testing.T) {
	c := learn(t, "city\nBern\nBasel\nBern\n").Columns[0]
	want := []synth.Value{{Text: "Bern", Count: 2}, {Text: "Basel", Count: 1}}
	if c.Kind != synth.Category || !slices.Equal(c.Values, want) {
		t.Errorf("learned %+v", c)
	}
}

func TestLearn_RefusesWhatIsNoTable(t *testing.T) {
	for name, table := range map[string]string{
		"empty":     "",
		"no rows":   "a,b\n",
		"ragged":    "a,b\n1\n",
		"long cell": "a\n" + strings.Repeat("x", synth.MaxCell+1) + "\n",
		"too wide":  strings.Repeat("a,", synth.MaxColumns) + "a\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := synth.Learn(strings.NewReader(table)); !errors.Is(err, synth.ErrTable) {
				t.Errorf("got %v, want ErrTable", err)
			}
		})
	}
}

func TestGenerator_RowsFollowTheModel(t *testing.T) {
	var b strings.Builder
	b.WriteString("age,city\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "%d,%s\n", 20+i%50, []string{"Bern", "Basel", "Bern", "Bern"}[i%4])
	}
	m := learn(t, b.String())
	g := m.Generator(7)
	var sum float64
	bern := 0
	const n = 4000
	for range n {
		row := g.Row()
		age, err := strconv.Atoi(row[0])
		if err != nil || age < 20 || age > 69 {
			t.Fatalf("age %q is outside of what was seen", row[0])
		}
		sum += float64(age)
		if row[1] == "Bern" {
			bern++
		}
	}
	if mean := sum / n; math.Abs(mean-m.Columns[0].Mean) > 2 {
		t.Errorf("mean %v, real %v", mean, m.Columns[0].Mean)
	}
	if share := float64(bern) / n; math.Abs(share-0.75) > 0.05 {
		t.Errorf("share of Bern %v, want 0.75", share)
	}
}

func TestGenerator_SameSeedSameRows(t *testing.T) {
	m := learn(t, "a,b\n1,x\n2,y\n3,\n")
	one, two, other := m.Generator(1), m.Generator(1), m.Generator(2)
	differs := false
	for range 50 {
		a, b, c := one.Row(), two.Row(), other.Row()
		if !slices.Equal(a, b) {
			t.Fatalf("%v and %v from one seed", a, b)
		}
		differs = differs || !slices.Equal(a, c)
	}
	if !differs {
		t.Error("another seed gave the same rows")
	}
}

func TestGenerator_TextOfManyValuesIsNotGivenAway(t *testing.T) {
	var b strings.Builder
	b.WriteString("name\n")
	for i := range 200 {
		fmt.Fprintf(&b, "person %d\n", i)
	}
	g := learn(t, b.String()).Generator(1)
	for range 100 {
		if cell := g.Row()[0]; strings.HasPrefix(cell, "person") {
			t.Fatalf("real value %q in a synthetic row", cell)
		}
	}
}

func TestModel_CompareCountsIntoTheSameBars(t *testing.T) {
	m := learn(t, "n,c\n0,x\n20,y\n")
	counts, err := m.Compare(strings.NewReader("n,c\n0,x\n0.5,x\n20,z\n"))
	if err != nil {
		t.Fatal(err)
	}
	if counts[0][0] != 2 || counts[0][synth.Bins-1] != 1 {
		t.Errorf("numbers %v", counts[0])
	}
	if !slices.Equal(counts[1], []int{2, 0}) {
		t.Errorf("categories %v", counts[1])
	}
}
