// Package report shows how like the real rows the synthetic ones are: one HTML
// page that needs nothing else.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"gesalp.example/stack/internal/synth"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

// Report is one page.
type Report struct {
	Title   string
	Model   synth.Model // of the real table
	Made    int         // synthetic rows
	Counts  [][]int     // synthetic values in the model's bars: synth.Model.Compare
	Summary string      // a sentence by the language model; may be empty
	Release string
}

type column struct {
	Name, Fact string
	Chart      *chart
}

// Write writes the page.
func (r Report) Write(w io.Writer) error {
	columns := make([]column, len(r.Model.Columns))
	for i, c := range r.Model.Columns {
		columns[i] = column{Name: c.Name, Fact: fact(c), Chart: draw(c, r.Counts[i])}
	}
	err := pageTemplate.Execute(w, map[string]any{
		"Title": r.Title, "Real": r.Model.Rows, "Made": r.Made, "Columns": columns,
		"Summary": r.Summary, "Release": r.Release,
	})
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func fact(c synth.Column) string {
	missing := fmt.Sprintf("%.0f %% missing", c.Missing*100)
	switch c.Kind {
	case synth.Number:
		return fmt.Sprintf("number from %.4g to %.4g, mean %.4g, standard deviation %.4g, %s", c.Min, c.Max, c.Mean, c.SD, missing)
	case synth.Category:
		return fmt.Sprintf("%d categories, %s", len(c.Values), missing)
	default:
		return "text, replaced by tokens, " + missing
	}
}
