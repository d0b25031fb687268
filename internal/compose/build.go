package compose

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"gesalpai.ch/steady"
)

// buildOf is the build section; nil when there is none.
func buildOf(model *types.Project, s types.ServiceConfig) (*steady.Build, error) {
	b := s.Build
	if b == nil {
		return nil, nil
	}
	secrets, err := buildSecrets(model, s)
	if err != nil {
		return nil, err
	}
	out := &steady.Build{
		Context:          b.Context,
		Dockerfile:       dockerfileOf(b),
		DockerfileInline: b.DockerfileInline,
		Args:             argsOf(model, b),
		Target:           b.Target,
		Labels:           labelsOf(model, s),
		CacheFrom:        b.CacheFrom,
		ExtraHosts:       sorted(b.ExtraHosts.AsList(":")),
		Network:          b.Network,
		Platform:         s.Platform,
		NoCache:          b.NoCache,
		Pull:             b.Pull,
		Tags:             b.Tags,
		Secrets:          secrets,
		Contexts:         contextsOf(model, b),
	}
	if out.Platform == "" && len(b.Platforms) == 1 {
		out.Platform = b.Platforms[0]
	}
	return out, nil
}

// dockerfileOf is absolute where the context is a directory; inside a remote
// context it is relative to that.
func dockerfileOf(b *types.BuildConfig) string {
	if b.DockerfileInline != "" || b.Dockerfile == "" || filepath.IsAbs(b.Dockerfile) || !filepath.IsAbs(b.Context) {
		return b.Dockerfile
	}
	return filepath.Join(b.Context, b.Dockerfile)
}

// argsOf resolves arguments without a value from the environment, and drops those
// it does not have, as Compose does.
func argsOf(model *types.Project, b *types.BuildConfig) map[string]string {
	if len(b.Args) == 0 {
		return nil
	}
	out := map[string]string{}
	for k, v := range b.Args {
		if v != nil {
			out[k] = *v
		} else if fromEnv, ok := model.Environment[k]; ok {
			out[k] = fromEnv
		}
	}
	return out
}

// labelsOf are the declared labels and those that Compose puts on its images.
func labelsOf(model *types.Project, s types.ServiceConfig) map[string]string {
	out := map[string]string{
		api.ProjectLabel: model.Name,
		api.ServiceLabel: s.Name,
		api.VersionLabel: version,
	}
	for k, v := range s.Build.Labels {
		if _, taken := out[k]; !taken {
			out[k] = v
		}
	}
	return out
}

func buildSecrets(model *types.Project, s types.ServiceConfig) (map[string]string, error) {
	if len(s.Build.Secrets) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, ref := range s.Build.Secrets {
		secret := model.Secrets[ref.Source]
		if secret.File == "" {
			return nil, steady.ErrUnsupported.With(
				fmt.Sprintf("%ssecrets.%s is not a file, which is not supported; the build of service %s needs it",
					prefixed(model.ComposeFiles, "secrets", ref.Source), ref.Source, s.Name),
				fmt.Sprintf("put it into a file and name that under secrets.%s.file", ref.Source))
		}
		id := ref.Source
		if ref.Target != "" {
			id = ref.Target
		}
		out[id] = secret.File
	}
	return out, nil
}

// contextsOf turns "service:x" into the image of that service, as Compose does.
func contextsOf(model *types.Project, b *types.BuildConfig) map[string]string {
	if len(b.AdditionalContexts) == 0 {
		return nil
	}
	out := map[string]string{}
	for k, v := range b.AdditionalContexts {
		if name, ok := strings.CutPrefix(v, types.ServicePrefix); ok {
			if s, err := model.GetService(name); err == nil {
				v = "docker-image://" + api.GetImageNameOrDefault(s, model.Name)
			}
		}
		out[k] = v
	}
	return out
}

// unusedOfBuild names the attributes of a build section that Build has no place
// for.
func unusedOfBuild(b *types.BuildConfig) []string {
	if b == nil {
		return nil
	}
	var out []string
	for _, a := range []struct {
		name string
		set  bool
	}{
		{"cache_to", len(b.CacheTo) > 0},
		{"entitlements", len(b.Entitlements) > 0},
		{"no_cache_filter", len(b.NoCacheFilter) > 0},
		{"platforms", len(b.Platforms) > 1},
		{"privileged", b.Privileged},
		{"provenance", b.Provenance != ""},
		{"sbom", b.SBOM != ""},
		{"shm_size", b.ShmSize != 0},
		{"ssh", len(b.SSH) > 0},
		{"ulimits", len(b.Ulimits) > 0},
	} {
		if a.set {
			out = append(out, a.name)
		}
	}
	return out
}
