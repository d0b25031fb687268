package cli

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
)

func TestSarif_NamesItsRulesAndPlaces(t *testing.T) {
	here, err := filepath.Abs("compose file.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var findings []steady.Finding
	for _, r := range check.Rules() {
		findings = append(findings, steady.Finding{Rule: r.ID, Severity: r.Severity, Text: "x", Mend: "y", Place: steady.Place{File: here, Line: 3, Column: 5}})
	}
	findings = append(findings, steady.Finding{Rule: "latest", Severity: steady.Warning}) // without a place
	var log sarifLog
	if err := json.Unmarshal([]byte(newSession(nil, nil, nil, nil).sarif(findings)), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != len(findings) {
		t.Fatalf("version %s, %d runs", log.Version, len(log.Runs))
	}
	for i, r := range log.Runs[0].Results {
		if got := log.Runs[0].Tool.Driver.Rules[r.Index].ID; got != r.Rule {
			t.Errorf("result %d: index of %s is that of %s", i, r.Rule, got)
		}
		if !slices.Contains([]string{"note", "warning", "error"}, r.Level) {
			t.Errorf("result %d: level %q", i, r.Level)
		}
		if i == len(findings)-1 {
			if len(r.Locations) != 0 {
				t.Errorf("a finding without a place has one: %+v", r.Locations)
			}
			continue
		}
		p := r.Locations[0].Physical
		if p.Artifact.URI != "compose%20file.yaml" || p.Region.Line != 3 || p.Region.Column != 5 {
			t.Errorf("result %d: %+v", i, p)
		}
	}
}
