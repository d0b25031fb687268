package cli

import (
	"encoding/json"
	"net/url"
	"path/filepath"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
)

// sarifSchema is that of the Static Analysis Results Interchange Format 2.1.0
// (OASIS), of which the types below are the part that is used.
const sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID      string    `json:"id"`
	Short   sarifText `json:"shortDescription"`
	Full    sarifText `json:"fullDescription"`
	Help    sarifText `json:"help"`
	Default struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	Rule      string          `json:"ruleId"`
	Index     int             `json:"ruleIndex"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations,omitempty"`
}

type sarifLocation struct {
	Physical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region struct {
			Line   int `json:"startLine"`
			Column int `json:"startColumn"`
		} `json:"region"`
	} `json:"physicalLocation"`
}

func (s *session) sarif(findings []steady.Finding) string {
	var run sarifRun
	run.Tool.Driver = sarifDriver{Name: "steady", Version: buildVersion()}
	run.Results = []sarifResult{}
	index := map[string]int{}
	for i, r := range check.Rules() {
		rule := sarifRule{ID: r.ID, Short: sarifText{r.Title}, Full: sarifText{r.Why}, Help: sarifText{r.Mend}}
		rule.Default.Level = sarifLevel(r.Severity)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
		index[r.ID] = i
	}
	for _, f := range findings {
		r := sarifResult{Rule: f.Rule, Index: index[f.Rule], Level: sarifLevel(f.Severity), Message: sarifText{f.Text + ". Mend: " + f.Mend}}
		if f.Place.File != "" {
			var l sarifLocation
			l.Physical.Artifact.URI = sarifURI(s.relative([]string{f.Place.File})[0])
			l.Physical.Region.Line, l.Physical.Region.Column = f.Place.Line, f.Place.Column
			r.Locations = []sarifLocation{l}
		}
		run.Results = append(run.Results, r)
	}
	b, err := json.MarshalIndent(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}, "", "  ")
	if err != nil {
		return object(err)
	}
	return string(b)
}

func sarifLevel(v steady.Severity) string {
	if v == steady.Notice {
		return "note"
	}
	return string(v)
}

// sarifURI is relative to where the command ran, or a file's whole address.
func sarifURI(path string) string {
	u := url.URL{Path: filepath.ToSlash(path)}
	if filepath.IsAbs(path) {
		u.Scheme = "file"
	}
	return u.String()
}
