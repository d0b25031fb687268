// Package check finds in Compose files what will hurt a deploy, or the service
// afterwards. It is pure: what the files say goes in, findings come out, and no
// Engine is needed.
package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// Input is what is judged.
type Input struct {
	steady.Survey
	Memory int64 // of the host in bytes; 0: unknown, and nothing is said about it
	// Only are the services to tell of; none: all, and the files as a whole.
	Only []string
}

// Rule is one thing that is looked for.
type Rule struct {
	ID       string
	Severity steady.Severity
	Title    string // what it finds
	Why      string
	Mend     string // what to write, or the command to run

	// many says of several places at once what is said of each: "services have no
	// healthcheck". Empty: each place is a finding of its own, also in a summary.
	many string
	each func(Input, steady.Declared) []hit // of a service
	all  func(Input) []hit                  // of the files as a whole
}

// hit is one place where a rule holds.
type hit struct {
	service string
	path    string
	text    string
	mend    string // empty: the rule's own
	name    string // in a summary; empty: the service's
}

// Rules is every rule there is, in the order of the reference.
func Rules() []Rule {
	return slices.Concat(fileRules(), readyRules(), stopRules(), workRules(), replaceRules(), besideRules(), stateRules(), reachRules(), networkRules(),
		secretRules(), imageRules(), hostRules())
}

// Run judges the files, with a finding for every place. Findings come in the order
// in which they stand there, the most severe first among those at one place.
func Run(in Input) []steady.Finding {
	out := []steady.Finding{}
	for _, r := range Rules() {
		for _, h := range r.hits(in) {
			out = append(out, r.finding(in, h))
		}
	}
	return sorted(out)
}

// Summary is Run with one finding for all places of a rule where one sentence can
// tell of them: the finding stands at the first and lists the others.
func Summary(in Input) []steady.Finding {
	out := []steady.Finding{}
	for _, r := range Rules() {
		hits := r.hits(in)
		if r.many != "" && len(hits) > 1 {
			out = append(out, r.joined(in, hits))
			continue
		}
		for _, h := range hits {
			out = append(out, r.finding(in, h))
		}
	}
	return sorted(out)
}

func (r Rule) finding(in Input, h hit) steady.Finding {
	return steady.Finding{
		Rule: r.ID, Severity: r.Severity, Service: h.service, Path: h.path, Place: in.Place(h.path),
		Text: h.text, Why: r.Why, Mend: cmp.Or(h.mend, r.Mend),
	}
}

// joined is one finding of a rule's hits.
func (r Rule) joined(in Input, hits []hit) steady.Finding {
	slices.SortStableFunc(hits, func(a, b hit) int { return before(in.Place(a.path), in.Place(b.path)) })
	f := r.finding(in, hits[0])
	var names []string
	for _, h := range hits {
		if name := cmp.Or(h.name, h.service); !slices.Contains(names, name) {
			names = append(names, name)
		}
		if h.service != f.Service {
			f.Service = ""
		}
		if p := in.Place(h.path); p != f.Place && !slices.Contains(f.Also, p) {
			f.Also = append(f.Also, p)
		}
	}
	if len(names) > 1 {
		f.Text = fmt.Sprintf("%d %s: %s", len(names), r.many, strings.Join(names, ", "))
	}
	return f
}

func sorted(found []steady.Finding) []steady.Finding {
	slices.SortStableFunc(found, func(a, b steady.Finding) int {
		return cmp.Or(before(a.Place, b.Place), severer(a.Severity, b.Severity))
	})
	return found
}

// before orders places by line.
func before(a, b steady.Place) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
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
	var out []hit
	if r.all != nil {
		out = r.all(in)
	}
	for _, d := range in.Services {
		if r.each == nil {
			break
		}
		for _, h := range r.each(in, d) {
			h.service = d.Service
			out = append(out, h)
		}
	}
	if len(in.Only) == 0 {
		return out
	}
	return slices.DeleteFunc(out, func(h hit) bool {
		whole := h.service == "" && r.Severity == steady.Failure // refuses every deploy of these files
		return !whole && !slices.Contains(in.Only, h.service)
	})
}

// one is a hit at one place of a service, or none.
func one(holds bool, path, text string) []hit {
	if !holds {
		return nil
	}
	return []hit{{path: path, text: text}}
}
