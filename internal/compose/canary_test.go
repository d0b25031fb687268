package compose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

func TestCanary_IsReadWithItsDefaults(t *testing.T) {
	byDefault := steady.Canary{Steps: []float64{5, 25, 50}, Every: 2 * time.Minute, Cookie: "steady-canary"}
	for text, want := range map[string]*steady.Canary{
		"{}":                    nil,
		"{canary: false}":       nil,
		"{sticky: true}":        nil,
		"{canary: true}":        &byDefault,
		"{canary: {every: 2m}}": &byDefault,
		`{canary: {steps: [0, "2.5%", 33.33, "100 %"], every: 30s, header: x-canary, cookie: off, promote: manual}}`: {
			Steps: []float64{0, 2.5, 33.33, 100}, Every: 30 * time.Second, Header: "X-Canary", Manual: true},
		"{canary: {cookie: at, promote: auto}}": {Steps: []float64{5, 25, 50}, Every: 2 * time.Minute, Cookie: "at"},
	} {
		p := loadText(t, "services: {web: {image: x, ports: [\"80:80\"], x-steady: "+text+"}}")
		if diff := cmp.Diff(want, p.Specs[0].Canary); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestCanary_WhatCannotBeIsRefusedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"steps: 5":           "5 is no list of percentages",
		"steps: []":          "is no list of percentages",
		"steps: [five]":      "five is no percentage",
		"steps: [-1]":        "-1 is no percentage",
		"steps: [\"101%\"]":  "101% is no percentage",
		"steps: [50, 25]":    "the shares do not rise: 25 % comes after 50 %",
		"steps: [5, 5]":      "the shares do not rise",
		"steps: [0.001]":     "finer than a hundredth",
		"every: soon":        "soon is no duration",
		"header: \"a b\"":    "a b is no name for a header",
		"cookie: \"a;b\"":    "a;b is no name for a cookie",
		"promote: sometimes": "sometimes is none of auto, manual",
		"stage: 1":           "unknown key",
	} {
		dir := write(t, map[string]string{"compose.yaml": "services:\n  web:\n    image: x\n    x-steady:\n      canary:\n        " + text + "\n"})
		_, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "compose.yaml:6: services.web.x-steady.canary.") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	dir := write(t, map[string]string{"compose.yaml": "x-steady: {canary: true}\n" + one})
	if _, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir}); err == nil {
		t.Error("a canary at the top was taken")
	}
}
