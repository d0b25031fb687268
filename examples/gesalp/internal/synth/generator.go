package synth

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Generator makes synthetic rows. The same model and seed give the same rows, so
// that a job that is done again has the same result. Not for concurrent use.
type Generator struct {
	model Model
	rnd   *rand.Rand
	made  int
}

// Generator starts a sequence of rows.
func (m Model) Generator(seed uint64) *Generator {
	return &Generator{model: m, rnd: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

// Row makes the next row, one cell per column.
func (g *Generator) Row() []string {
	row := make([]string, len(g.model.Columns))
	for i, c := range g.model.Columns {
		if g.rnd.Float64() >= c.Missing {
			row[i] = g.cell(c)
		}
	}
	g.made++
	return row
}

func (g *Generator) cell(c Column) string {
	switch c.Kind {
	case Number:
		return strconv.FormatFloat(g.number(c), 'f', c.Decimals, 64)
	case Category:
		return g.category(c)
	default:
		return fmt.Sprintf("%s-%06d", c.Name, g.made+1)
	}
}

// number draws until it falls into what was seen; a column whose values all lie
// at its two ends would otherwise pile up there by clamping.
func (g *Generator) number(c Column) float64 {
	const tries = 16
	for range tries {
		if f := c.Mean + c.SD*g.rnd.NormFloat64(); f >= c.Min && f <= c.Max {
			return f
		}
	}
	return c.Min + (c.Max-c.Min)*g.rnd.Float64()
}

func (g *Generator) category(c Column) string {
	total := 0
	for _, v := range c.Values {
		total += v.Count
	}
	if total == 0 {
		return ""
	}
	n := g.rnd.IntN(total)
	for _, v := range c.Values {
		if n -= v.Count; n < 0 {
			return v.Text
		}
	}
	return ""
}
