package steady

import "fmt"

// Severity says how much a finding matters.
type Severity string

// Severities, least first.
const (
	Notice  Severity = "info"    // worth knowing; nothing is wrong
	Warning Severity = "warning" // it will hurt one day, or hurts a little now
	Failure Severity = "error"   // it is broken, or a deploy breaks it
)

// rank orders severities; an unknown one is below all.
func (s Severity) rank() int {
	return map[Severity]int{Notice: 1, Warning: 2, Failure: 3}[s]
}

// AtLeast says whether s matters as much as other.
func (s Severity) AtLeast(other Severity) bool { return s.rank() >= other.rank() }

// Finding is one thing that is not as it should be: what, why it matters and what
// mends it. Text and Mend never hold a value of the environment.
type Finding struct {
	Rule     string   `json:"rule"` // its id, as in docs/check.md and docs/doctor.md
	Severity Severity `json:"severity"`
	Service  string   `json:"service,omitempty"` // concerned, if one is
	Path     string   `json:"path,omitempty"`    // in the Compose files: services.api.ports[0]
	Place    Place    `json:"place,omitzero"`    // of that path, where the files show it
	Also     []Place  `json:"also,omitempty"`    // other places of which Text tells too
	Text     string   `json:"text"`              // one sentence, lower case, no full stop
	Why      string   `json:"why"`
	Mend     string   `json:"mend"`            // what to write, or the command to run
	Lines    []string `json:"lines,omitempty"` // what a container or a program said
}

// Worst is the highest severity among findings; empty when there are none.
func Worst(findings []Finding) Severity {
	var worst Severity
	for _, f := range findings {
		if f.Severity.rank() > worst.rank() {
			worst = f.Severity
		}
	}
	return worst
}

// Place is a position in a file. Line and Column begin at 1.
type Place struct {
	File   string `json:"file"` // absolute path
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is the place as compilers write it; empty for none.
func (p Place) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}
