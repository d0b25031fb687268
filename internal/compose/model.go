package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/compose-spec/compose-go/v2/utils"
	"github.com/docker/compose/v5/pkg/api"

	"gesalpai.ch/steady"
)

// envFilesKey is read by the docker compose command line, not by compose-go.
const envFilesKey = "COMPOSE_ENV_FILES"

// absolute frees the options from the process's working directory.
func (o Options) absolute() (Options, error) {
	wd, err := filepath.Abs(o.WorkingDir)
	if err != nil {
		return o, fmt.Errorf("find the working directory: %w", err)
	}
	o.WorkingDir = wd
	env := utils.GetAsEqualsMap(o.Env)
	if len(o.EnvFiles) == 0 {
		o.EnvFiles = strings.FieldsFunc(env[envFilesKey], func(r rune) bool { return r == ',' })
	}
	o.Files = o.under(o.Files)
	o.EnvFiles = o.under(o.EnvFiles)
	if o.ProjectDir != "" {
		o.ProjectDir = o.under([]string{o.ProjectDir})[0]
	}
	return o, nil
}

// under makes paths absolute; "-", standard input, stays.
func (o Options) under(paths []string) []string {
	out := slices.Clone(paths)
	for i, p := range out {
		if p != "-" && !filepath.IsAbs(p) {
			out[i] = filepath.Join(o.WorkingDir, p)
		}
	}
	return out
}

// profilesOf names the profiles of services, each once.
func profilesOf(services types.Services) []string {
	var out []string
	for _, s := range services {
		out = append(out, s.Profiles...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// parse is read without what belongs to enabled services only.
func parse(ctx context.Context, o Options) (*types.Project, error) {
	options, err := cli.NewProjectOptions(o.Files,
		cli.WithWorkingDirectory(o.ProjectDir),
		cli.WithEnv(append([]string{"PWD=" + o.WorkingDir}, o.Env...)),
		o.find,
		o.dotEnv,
		cli.WithDefaultProfiles(o.Profiles...),
		cli.WithName(o.ProjectName),
		cli.WithoutEnvironmentResolution,
	)
	if err != nil {
		return nil, refusal(o.Files, nil, err)
	}
	if len(options.ConfigPaths) == 0 {
		return nil, refusal(nil, nil, errors.New("no configuration file provided: not found"))
	}
	if err := bounded(options.ConfigPaths); err != nil {
		return nil, err
	}
	model, err := options.LoadProject(ctx)
	if err != nil {
		return nil, refusal(options.ConfigPaths, options.Environment, err)
	}
	if model.Name == "" {
		return nil, refusal(nil, nil, errors.New("project name must not be empty"))
	}
	return model, nil
}

// find chooses the files: those given, COMPOSE_FILE, or the usual names in the
// working directory and its parents. A .env there may hold COMPOSE_FILE.
func (o Options) find(options *cli.ProjectOptions) error {
	if len(options.ConfigPaths) > 0 {
		return nil
	}
	given := options.WorkingDir
	if given == "" {
		options.WorkingDir = o.WorkingDir
	}
	defer func() { options.WorkingDir = given }()
	if err := o.dotEnv(options); err != nil {
		return err
	}
	if list := options.Environment[consts.ComposeFilePath]; list != "" {
		sep := options.Environment[consts.ComposePathSeparator]
		if sep == "" {
			sep = string(os.PathListSeparator)
		}
		options.ConfigPaths = o.under(strings.Split(list, sep))
		return nil
	}
	return cli.WithDefaultConfigPath(options)
}

// dotEnv reads the env files given, else .env beside the Compose files. It runs
// twice, as in Compose: the first .env may say where the Compose files are.
func (o Options) dotEnv(options *cli.ProjectOptions) error {
	disabled := utils.StringToBool(options.Environment[consts.ComposeDisableDefaultEnvFile])
	if disabled && len(o.EnvFiles) == 0 {
		return nil
	}
	if err := cli.WithEnvFiles(o.EnvFiles...)(options); err != nil {
		return err
	}
	return cli.WithDotEnv(options)
}

// enable drops what no profile asks for, puts on the labels of Compose's
// LoadProject and resolves env files, of enabled services only.
func (o Options) enable(model *types.Project) (*types.Project, error) {
	for _, name := range o.Services {
		if _, ok := model.AllServices()[name]; !ok {
			return nil, steady.ErrNoService.With(
				fmt.Sprintf("no such service: %s", name), "list them: docker compose config --services")
		}
	}
	model, err := model.WithServicesEnabled(o.Services...)
	if err != nil {
		return nil, err
	}
	for name, service := range model.Services {
		service.CustomLabels = types.Labels{
			api.ProjectLabel:     model.Name,
			api.ServiceLabel:     name,
			api.VersionLabel:     version,
			api.WorkingDirLabel:  model.WorkingDir,
			api.ConfigFilesLabel: strings.Join(model.ComposeFiles, ","),
			api.OneoffLabel:      "False",
		}
		if len(o.EnvFiles) > 0 {
			service.CustomLabels[api.EnvironmentFileLabel] = strings.Join(o.EnvFiles, ",")
		}
		model.Services[name] = service
	}
	model, err = model.WithServicesEnvironmentResolved(true)
	if err != nil {
		return nil, err
	}
	return model.WithoutUnnecessaryResources().WithoutUnresolvedOptionalDependencies(), nil
}
