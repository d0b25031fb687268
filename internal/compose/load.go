// Package compose turns Compose files into specs. It reads files and the
// environment it is given and nothing else: what Compose would ask of an Engine
// is captured from Compose's own code against an Engine that is not there.
package compose

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// Options say which files are meant, in the words of Compose's own flags. The
// zero value looks for a Compose file in the process's working directory and its
// parents.
type Options struct {
	Files       []string // --file; empty: COMPOSE_FILE, else compose.yaml and its like, with its override
	ProjectName string   // --project-name; empty: COMPOSE_PROJECT_NAME, else `name:`, else the directory's name
	ProjectDir  string   // --project-directory; empty: the directory of the first file
	Profiles    []string // --profile; empty: COMPOSE_PROFILES
	EnvFiles    []string // --env-file; empty: COMPOSE_ENV_FILES, else .env beside the files
	Services    []string // services that are enabled whatever their profiles say
	Env         []string // the environment, as os.Environ gives it
	WorkingDir  string   // where relative paths above start; empty: the process's own

	// Hash gives the com.docker.compose.config-hash label of a service. nil, an
	// error or an empty answer: what the Compose SDK says. See PluginHash.
	Hash func(ctx context.Context, service string) (string, error)
}

// Project is what the files say, wholly resolved.
type Project struct {
	Name       string
	WorkingDir string        // absolute
	Files      []string      // absolute paths
	EnvFiles   []string      `json:",omitempty"` // env_file of the enabled services, absolute paths
	Profiles   []string      `json:",omitempty"` // of services that no profile asked for enables
	Services   []string      `json:"-"`          // all of the files, those that no profile asked for enables included, sorted
	Specs      []steady.Spec // enabled services; one stands behind all it depends on
	Warnings   []string      // Compose's own, and what steady does not use
}

// Load reads the files and gives the project. What is wrong with them is
// steady.ErrCompose in Compose's own words, with file and line where it has
// them; what Compose knows and steady does not is steady.ErrUnsupported.
func Load(ctx context.Context, o Options) (Project, error) {
	if err := ctx.Err(); err != nil {
		return Project{}, fmt.Errorf("load the Compose files: %w", err)
	}
	warn, release := listen()
	defer release()
	o, err := o.absolute()
	if err != nil {
		return Project{}, err
	}
	model, envFiles, err := read(ctx, o)
	if err != nil {
		return Project{}, err
	}
	if err := supported(model); err != nil {
		return Project{}, err
	}
	if err := mountable(model); err != nil {
		return Project{}, err
	}
	calls, err := capture(ctx, model)
	if err != nil {
		return Project{}, refusal(model.ComposeFiles, model.Environment, err)
	}
	p := Project{Name: model.Name, WorkingDir: model.WorkingDir, Files: model.ComposeFiles, EnvFiles: envFiles, Profiles: profilesOf(model.DisabledServices),
		Services: sortedKeys(model.AllServices())}
	for _, name := range order(model) {
		spec, err := specOf(ctx, model, model.Services[name], calls, o.Hash)
		if err != nil {
			return Project{}, err
		}
		p.Specs = append(p.Specs, spec)
	}
	if err := linkHostnames(p.Specs); err != nil {
		return Project{}, err
	}
	if err := clashing(model, p.Specs); err != nil {
		return Project{}, err
	}
	p.Warnings = append(warn(), unused(model)...)
	return p, nil
}

// order lists the services so that each stands behind all it depends on, by name
// where the files leave it open. Compose has refused cycles already.
func order(model *types.Project) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		service, enabled := model.Services[name]
		if seen[name] || !enabled {
			return
		}
		seen[name] = true
		for _, dep := range append(sortedKeys(service.DependsOn), sharedByName(model, service)...) {
			visit(dep)
		}
		out = append(out, name)
	}
	for _, name := range sortedKeys(model.Services) {
		visit(name)
	}
	return out
}
