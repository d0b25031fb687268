package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

// load reads the Compose files that the flags and the environment mean. Named
// services are enabled whatever their profiles say. The containers will carry the
// hash that the host's own docker compose gives them, so that it leaves them be.
func (s *session) load(ctx context.Context, services []string) (compose.Project, error) {
	o := s.composeOptions()
	o.Services = services
	o.Hash = compose.PluginHash(o)
	p, err := compose.Load(ctx, o)
	if err != nil {
		return p, err
	}
	for _, w := range p.Warnings {
		s.warn(w)
	}
	s.readFrom(p)
	return p, nil
}

func (s *session) composeOptions() compose.Options {
	return compose.Options{
		Files: s.shared.files, ProjectName: s.shared.project, ProjectDir: s.shared.projectDir,
		Profiles: s.shared.profiles, EnvFiles: s.shared.envFiles, Env: s.env,
	}
}

// project is the name of the project a command is about. A Compose file in reach
// decides before what the daemon knows: `steady down` in one project's directory
// must never mean another.
func (s *session) project(ctx context.Context) (string, error) {
	if s.shared.project != "" {
		return s.shared.project, nil
	}
	if name := s.getenv("COMPOSE_PROJECT_NAME"); name != "" {
		return name, nil
	}
	if s.composeFileInReach() {
		p, err := compose.Load(ctx, s.composeOptions()) // its warnings are deploy's to print
		if err == nil {
			return p.Name, nil
		}
		e := steady.AsError(err)
		return "", steady.ErrCompose.With(e.Text, "mend the file, or name the project: steady --project-name NAME …")
	}
	known, err := s.backend().Projects(ctx)
	if err != nil {
		return "", err
	}
	return only(known)
}

func only(known []string) (string, error) {
	switch len(known) {
	case 0:
		return "", steady.ErrNoProject.With("no Compose file here, and the daemon knows no project", "steady deploy")
	case 1:
		return known[0], nil
	}
	return "", steady.ErrNoProject.With("no Compose file here, and the daemon knows several projects: "+listed(known),
		"steady --project-name "+known[0]+" …")
}

// composeFileInReach looks where Compose would look.
func (s *session) composeFileInReach() bool {
	if len(s.shared.files) > 0 || s.getenv("COMPOSE_FILE") != "" {
		return true
	}
	dir, err := filepath.Abs(s.shared.projectDir)
	if err != nil {
		return false
	}
	for {
		for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
			if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
				return true
			}
		}
		if dir == filepath.Dir(dir) {
			return false
		}
		dir = filepath.Dir(dir)
	}
}
