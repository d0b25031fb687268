package compose

import (
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// supported refuses what Compose does by other means than the creation of a
// container. To leave it out in silence would start a service without its secret
// or its hook.
func supported(model *types.Project) error {
	for _, name := range sortedKeys(model.Services) {
		s := model.Services[name]
		if err := supportedService(model.ComposeFiles, name, s); err != nil {
			return err
		}
		for _, c := range s.Configs {
			if d := model.Configs[c.Source]; d.Content != "" || d.Environment != "" {
				return inline(model.ComposeFiles, name, "configs", c.Source)
			}
		}
		for _, c := range s.Secrets {
			if d := model.Secrets[c.Source]; d.Content != "" || d.Environment != "" {
				return inline(model.ComposeFiles, name, "secrets", c.Source)
			}
		}
	}
	return nil
}

func supportedService(files []string, name string, s types.ServiceConfig) error {
	refuse := func(attribute, hint string) error {
		at := prefixed(files, "services", name, attribute)
		return steady.ErrUnsupported.With(fmt.Sprintf("%sservices.%s.%s is not supported", at, name, attribute), hint)
	}
	switch {
	case s.Provider != nil:
		return refuse("provider", "describe the service with image or build")
	case len(s.PreStart) > 0:
		return refuse("pre_start", "make it a service of its own and depend on it with condition: service_completed_successfully")
	case len(s.PostStart) > 0:
		return refuse("post_start", "do it in the image's entrypoint")
	case len(s.PreStop) > 0:
		return refuse("pre_stop", "x-steady.hooks.stop runs a command before the old one is stopped; or do it when the process gets SIGTERM")
	case s.UseAPISocket:
		return refuse("use_api_socket", "mount /var/run/docker.sock under volumes")
	case len(s.Models) > 0:
		return refuse("models", "run the model as a service")
	}
	return nil
}

func inline(files []string, service, kind, source string) error {
	return steady.ErrUnsupported.With(
		fmt.Sprintf("%s%s.%s is given by content or environment, which is not supported; service %s needs it",
			prefixed(files, kind, source), kind, source, service),
		fmt.Sprintf("put it into a file and name that under %s.%s.file", kind, source))
}
