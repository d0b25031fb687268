package compose

import (
	"context"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// read loads the model in the order in which the docker compose command line
// does (its LoadProject, which would take the process's environment). It names the
// env files of the enabled services too: reading resolves them, and then nobody
// knows any more where a variable came from.
func read(ctx context.Context, o Options) (*types.Project, []string, error) {
	model, err := parse(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	declared := map[string][]string{}
	for name, s := range model.AllServices() {
		for _, f := range s.EnvFiles {
			declared[name] = append(declared[name], f.Path)
		}
	}
	enabled, err := o.enable(model)
	if err != nil {
		return nil, nil, refusal(model.ComposeFiles, model.Environment, err)
	}
	var names []string
	for _, service := range sortedKeys(enabled.Services) {
		names = append(names, declared[service]...)
	}
	slices.Sort(names)
	return enabled, slices.Compact(names), nil
}
