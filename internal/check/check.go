// Package check finds in Compose files what will hurt a deploy, or the service
// afterwards. It is pure: what the files say goes in, findings come out, and no
// Engine is needed.
package check

import (
	"cmp"
	"slices"

	"gesalpai.ch/steady"
)

// Input is what is judged.
type Input struct {
	steady.Survey
	Memory int64 // of the host in bytes; 0: unknown, and nothing is said about it
}

// Rule is one thing that is looked for.
type Rule struct {
	ID       string
	Severity steady.Severity
	Title    string // what it finds
	Why      string
	Mend     string // what to write, or the command to run

	each func(Input, steady.Declared) []hit // of a service
	all  func(Input) []hit                  // of the files as a whole
}

// hit is one place where a rule holds. An empty mend is the rule's own.
type hit struct {
	service string
	path    string
	text    string
	mend    string
}

// Rules is every rule there is, in the order of the reference.
func Rules() []Rule {
	return slices.Concat(fileRules(), readyRules(), stopRules(), replaceRules(), besideRules(), stateRules(), reachRules(), networkRules(),
		secretRules(), imageRules(), hostRules())
}

// Run judges the files. Findings come in the order in which they stand there, the
// most severe first among those at one place.
func Run(in Input) []steady.Finding {
	out := []steady.Finding{}
	for _, r := range Rules() {
		for _, h := range r.hits(in) {
			out = append(out, steady.Finding{
				Rule: r.ID, Severity: r.Severity, Service: h.service, Path: h.path, Place: in.Place(h.path),
				Text: h.text, Why: r.Why, Mend: cmp.Or(h.mend, r.Mend),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b steady.Finding) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), severer(a.Severity, b.Severity))
	})
	return out
}

func severer(a, b steady.Severity) int {
	switch {
	case a == b:
		return 0
	case a.AtLeast(b):
		return -1
	}
	return 1
}

func (r Rule) hits(in Input) []hit {
	if r.all != nil {
		return r.all(in)
	}
	var out []hit
	for _, d := range in.Services {
		for _, h := range r.each(in, d) {
			h.service = d.Service
			out = append(out, h)
		}
	}
	return out
}

// one is a hit at one place of a service, or none.
func one(holds bool, path, text string) []hit {
	if !holds {
		return nil
	}
	return []hit{{path: path, text: text}}
}
