package docker

import (
	"fmt"
	"io"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
)

// hub is the key under which the docker client keeps what it knows of Docker Hub.
const hub = "https://index.docker.io/v1/"

// credentials reads the docker client's configuration, as `docker login` writes it.
func (e *Engine) credentials() (*configfile.ConfigFile, error) {
	if e.configDir == "" {
		return config.LoadDefaultConfigFile(io.Discard), nil
	}
	c, err := config.Load(e.configDir)
	if err != nil {
		return nil, fmt.Errorf("read the docker client's configuration: %w", err)
	}
	return c, nil
}

// authFor is what the Engine is told of us for the registry of a reference.
func (e *Engine) authFor(ref reference.Named) (string, error) {
	c, err := e.credentials()
	if err != nil {
		return "", err
	}
	host := reference.Domain(ref)
	if host == "docker.io" {
		host = hub
	}
	a, err := c.GetAuthConfig(host)
	if err != nil {
		return "", fmt.Errorf("credentials for registry %s: %w", host, err)
	}
	return authconfig.Encode(registry.AuthConfig{
		Username: a.Username, Password: a.Password, Auth: a.Auth,
		ServerAddress: a.ServerAddress, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
	})
}
