package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady/test/image"
)

const stubImage = "stub:e2e"

// stubImages builds the image of test/stub, once.
var stubImages = sync.OnceValue(func() error {
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer engine.Close()
	return image.Build(context.Background(), engine, stubImage, filepath.Join(repo, "test/stub"))
})

// withStub writes a Compose file of services that test/stub plays. In it every service
// takes its image and environment by "<<: *stub".
func withStub(t testing.TB, h *host, services string) {
	t.Helper()
	if err := stubImages(); err != nil {
		t.Fatal(err)
	}
	h.write("docker-compose.prod.yml", `x-stub: &stub
  image: `+stubImage+`
  stop_grace_period: 2s
  environment: &env
    RELEASE: ${GESALP_RELEASE:-1}
    LISTEN: ${LISTEN:-}
    LISTEN_AFTER: ${LISTEN_AFTER:-}
    CLOSE_AFTER: ${CLOSE_AFTER:-}
    EXIT_AFTER: ${EXIT_AFTER:-}
    EXIT_CODE: ${EXIT_CODE:-0}
    SAY: ${SAY:-starting}
services:
`+services)
}

// of is the environment of a command that deploys a release.
func of(release string, pairs ...string) map[string]string {
	env := map[string]string{"GESALP_RELEASE": release}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		env[name] = value
	}
	return env
}
