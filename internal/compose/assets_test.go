package compose_test

import (
	"slices"
	"testing"
)

func TestXSteady_AssetsAreAPathOrAList(t *testing.T) {
	p := loadText(t, `
x-steady: {assets: "/static/*"}
services:
  top: {image: x}
  own: {image: x, x-steady: {assets: ["/_next/static/*", "/*.js"]}}
  none: {image: x, x-steady: {assets: []}}
`)
	want := map[string][]string{"top": {"/static/*"}, "own": {"/_next/static/*", "/*.js"}, "none": {}}
	for _, s := range p.Specs {
		if !slices.Equal(s.Assets, want[s.Service]) {
			t.Errorf("%s: %v, want %v", s.Service, s.Assets, want[s.Service])
		}
	}
	for _, s := range loadText(t, one).Specs {
		if s.Assets != nil {
			t.Errorf("%s has assets: %v", s.Service, s.Assets)
		}
	}
}

func TestXSteady_RefusesAssetsThatMatchNothing(t *testing.T) {
	for x, want := range map[string]string{
		"assets: static":          `assets: "static" is no path that starts with /`,
		"assets: [/a, 3]":         "assets: 3 is no path",
		`assets: ["/a/../b"]`:     "can match no path",
		"assets: {path: /a}":      "assets: must be a list",
		`assets: ["/a%20b/*"]`:    "can match no path",
		`assets: [["/static/*"]]`: "is no path",
	} {
		refuses(t, "services: {web: {image: x, x-steady: {"+x+"}}}", want)
	}
}
