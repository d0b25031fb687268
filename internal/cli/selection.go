package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

// all is the word for every service, where a service could be named.
const all = "all"

// selection is what a deploy or a plan is about: the specs of the services asked
// for and of all they depend on.
type selection struct {
	specs []steady.Spec
	names []string // asked for by name; empty: all

	declared []string // all services of the files
}

func (s *session) choose(ctx context.Context, args []string, noDeps bool) (selection, error) {
	names := slices.Compact(slices.Sorted(slices.Values(args)))
	if slices.Contains(names, all) {
		if len(names) > 1 {
			return selection{}, usage("steady deploy", "all stands alone: name services, or all of them")
		}
		names = nil
	}
	p, err := s.load(ctx, names)
	if errors.Is(err, steady.ErrNoService) { // load again to know which there are
		p, err = s.load(ctx, nil)
	}
	if err != nil {
		return selection{}, err
	}
	if len(p.Specs) == 0 && len(p.Profiles) > 0 {
		return selection{}, steady.ErrUsage.With(
			fmt.Sprintf("every service of %s belongs to a profile, and none is asked for: %s", p.Name, listed(p.Profiles)),
			fmt.Sprintf("steady --profile %s deploy", p.Profiles[0]))
	}
	specs, err := pick(p.Name, p.Specs, names, noDeps)
	return selection{specs: specs, names: names, declared: p.Services}, err
}

// pick keeps the named services and, unless noDeps, all they depend on, in the
// order they had.
func pick(project string, specs []steady.Spec, names []string, noDeps bool) ([]steady.Spec, error) {
	if len(names) == 0 {
		return specs, nil
	}
	byName := map[string]steady.Spec{}
	for _, s := range specs {
		byName[s.Service] = s
	}
	wanted := map[string]bool{}
	var want func(string)
	want = func(name string) {
		spec, ok := byName[name]
		if !ok || wanted[name] {
			return
		}
		wanted[name] = true
		for _, d := range spec.DependsOn {
			if !noDeps {
				want(d.Service)
			}
		}
	}
	for _, n := range names {
		if _, ok := byName[n]; !ok {
			return nil, noService(project, n, specs)
		}
		want(n)
	}
	return slices.DeleteFunc(slices.Clone(specs), func(s steady.Spec) bool { return !wanted[s.Service] }), nil
}

func noService(project, name string, specs []steady.Spec) error {
	var known []string
	for _, s := range specs {
		known = append(known, s.Service)
	}
	slices.Sort(known)
	text := fmt.Sprintf("%s has no service %s", project, name)
	if near := nearest(name, known); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	return steady.ErrNoService.With(text, "its services are "+listed(known))
}

func listed(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// who is the caller, for those who find a rollout running.
func (s *session) who() string {
	name := s.getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
		if by := s.getenv("SUDO_USER"); u.Uid == "0" && by != "" { // root is everybody
			name = by
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// completeServices offers the services that the daemon knows of the project.
func (s *session) completeServices(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	project, err := s.project(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	status, err := s.backend().Status(c.Context(), project)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, v := range status.Services {
		names = append(names, v.Service)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
