// Package doctor finds out what is wrong on a host and in a project, and says what
// mends it. It gathers facts first, each within a bounded time and without writing
// anything; the rules that judge them are pure. What cannot be asked, because it
// is not there or does not answer, is a finding or is left out.
package doctor

import (
	"cmp"
	"context"
	"slices"

	"gesalpai.ch/steady"
)

// Rule is one thing that is looked for.
type Rule struct {
	ID       string
	Severity steady.Severity
	Title    string
	Why      string
	Mend     string // the command to run, where the finding names none of its own

	find func(Facts) []hit
}

// hit is one time that a rule holds. An empty mend is the rule's own.
type hit struct {
	service string
	path    string // in the Compose files
	text    string
	mend    string
	lines   []string
}

// Rules is every rule there is, in the order of the reference.
func Rules() []Rule {
	return slices.Concat(engineRules(), steadyRules(), leftoverRules(), containerRules(), serviceRules(), endRules(),
		trafficRules(), nginxRules(), fileRules(), hostRules(), setupRules())
}

// Report is what came of an examination.
type Report struct {
	Looked   []string         `json:"looked"` // what was there to be looked at, a line each
	Findings []steady.Finding `json:"findings"`
}

// Examine gathers the facts and judges them.
func Examine(ctx context.Context, s Sources) Report {
	f := Gather(ctx, s)
	return Report{Looked: f.looked(), Findings: Judge(f)}
}

// Judge applies the rules to facts. The most severe findings come first.
func Judge(f Facts) []steady.Finding {
	out := []steady.Finding{}
	for _, r := range Rules() {
		for _, h := range r.find(f) {
			finding := steady.Finding{
				Rule: r.ID, Severity: r.Severity, Service: h.service, Path: h.path, Text: h.text,
				Why: r.Why, Mend: cmp.Or(h.mend, r.Mend), Lines: h.lines,
			}
			if f.Survey != nil {
				finding.Place = f.Survey.Place(h.path)
			}
			out = append(out, finding)
		}
	}
	slices.SortStableFunc(out, func(a, b steady.Finding) int {
		switch {
		case a.Severity == b.Severity:
			return 0
		case a.Severity.AtLeast(b.Severity):
			return -1
		}
		return 1
	})
	return out
}

// one is a hit, or none.
func one(holds bool, text string) []hit {
	if !holds {
		return nil
	}
	return []hit{{text: text}}
}
