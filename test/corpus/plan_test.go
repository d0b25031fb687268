package corpus_test

import (
	"fmt"
	"slices"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/test/corpus"
)

// TestCorpus_IsPlanned: every project is planned, to be deployed for the first time
// and to be replaced, without a profile and with each.
func TestCorpus_IsPlanned(t *testing.T) {
	for _, name := range []string{"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES"} {
		t.Setenv(name, "")
	}
	for _, name := range corpus.Names(t) {
		dir := t.TempDir()
		corpus.Unpack(t, name, dir)
		for _, profiles := range profilesOf(t, dir) {
			t.Run(fmt.Sprint(name, profiles), func(t *testing.T) {
				p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir, ProjectName: "shop", Profiles: profiles})
				if err == nil {
					err = planned(t, p.Specs)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// profilesOf lists what to ask for: no profile, then each of the project alone.
func profilesOf(t *testing.T, dir string) [][]string {
	t.Helper()
	survey, err := compose.Look(t.Context(), compose.Options{WorkingDir: dir, ProjectName: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	out := [][]string{nil}
	for _, d := range survey.Services {
		for _, p := range d.Profiles {
			if !slices.ContainsFunc(out, func(known []string) bool { return slices.Contains(known, p) }) {
				out = append(out, []string{p})
			}
		}
	}
	return out
}

// planned plans a first deploy, and one that replaces what the first has started.
func planned(t *testing.T, specs []steady.Spec) error {
	first := plan.Input{Project: "shop", Observed: steady.Observed{Project: "shop", Images: map[string]steady.Image{}}}
	second := first
	second.Serving = map[string]steady.Release{}
	for _, s := range specs {
		old, next := release(s, 1), release(s, 2)
		first.Targets = append(first.Targets, plan.Target{Release: old, Asked: true})
		second.Targets = append(second.Targets, plan.Target{Release: next, Asked: true})
		second.Serving[s.Service] = old
		route := steady.Route{Project: "shop", Service: s.Service, Release: 1, Ports: s.Ports}
		route.Held, _ = s.Held()
		for n := range s.Replicas {
			r := steady.Replica{ID: old.ReplicaName(n + 1), Name: old.ReplicaName(n + 1), Service: s.Service, Release: 1, Number: n + 1,
				State: steady.StateRunning, Image: old.Image.ID}
			route.Replicas = append(route.Replicas, r.Name)
			second.Observed.Replicas = append(second.Observed.Replicas, r)
		}
		second.Routes = append(second.Routes, route)
	}
	for _, in := range []plan.Input{first, second} {
		p, err := plan.Build(in)
		if err != nil {
			return err
		}
		if len(p.Services) != len(specs) {
			t.Errorf("%d services, and %d are planned", len(specs), len(p.Services))
		}
		for _, m := range p.Services {
			if m.Strategy == "" || m.Cause == "" {
				t.Errorf("%s has no strategy or no cause: %+v", m.Service, m)
			}
		}
	}
	return nil
}

func release(s steady.Spec, number int) steady.Release {
	return steady.Release{Project: "shop", Service: s.Service, Number: number, Spec: s, Digest: fmt.Sprint(number),
		Image: steady.Image{Ref: s.Image, ID: fmt.Sprint("image-", number)}}
}
