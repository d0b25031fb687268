package compose_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

const testImage = "compose-test:1"

// stacks are created by the real plugin, without being started.
var stacks = map[string]string{
	"process": `
services:
  web:
    image: compose-test:1
    entrypoint: ["/entry"]
    command: serve --port 80
    user: "1000:1000"
    working_dir: /srv
    hostname: web-host
    environment: {B: "2", A: "1", TAG: "${TAG}", HERE: }
    labels: {com.example.b: "2", com.example.a: "1"}
    ports: ["127.0.0.1:18000:8000", "18001:8001/udp", "8002", "18100-18102:9000-9002"]
    expose: ["7000"]
    init: true
    read_only: true
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    group_add: ["999"]
    security_opt: ["no-new-privileges:true"]
    stop_signal: SIGQUIT
    stop_grace_period: 1m30s
    restart: on-failure:3
    tmpfs: ["/run", "/tmp:size=64m"]
    extra_hosts: ["db.test:10.0.0.2", "api.test:10.0.0.1"]
    dns: [1.1.1.1]
    dns_search: [example.test]
    sysctls: {net.core.somaxconn: "1024"}
    ulimits: {nofile: {soft: 2000, hard: 4000}, nproc: 65535}
    logging: {driver: json-file, options: {max-size: 10m}}
`,
	"limits": `
services:
  web:
    image: compose-test:1
    mem_limit: 64m
    mem_reservation: 32m
    cpus: 0.5
    cpu_shares: 512
    pids_limit: 100
    shm_size: 16m
    oom_score_adj: 100
  deployed:
    image: compose-test:1
    deploy:
      replicas: 1
      resources: {limits: {cpus: "0.25", memory: 32M, pids: 50}}
      restart_policy: {condition: on-failure, max_attempts: 2}
      update_config: {order: start-first}
    x-steady: {drain: {requests: 10s}}
`,
	"networks": `
services:
  web:
    image: compose-test:1
    networks:
      front: {aliases: [www, shop], ipv4_address: 10.217.83.10}
      back: {priority: 100}
  db:
    image: compose-test:1
    container_name: composetest-networks-the-db
    networks: [back]
networks:
  front:
    ipam: {config: [{subnet: 10.217.83.0/24}]}
  back:
    internal: true
`,
	"mounts": `
services:
  web:
    image: compose-test:1
    volumes:
      - data:/data
      - named:/named:ro
      - ./uploads:/uploads
      - ./conf:/conf:ro
      - /anonymous
      - {type: volume, source: data, target: /nocopy, volume: {nocopy: true}}
    configs: [{source: app, target: /etc/app.conf}]
    secrets: [password]
  heir:
    image: compose-test:1
    volumes_from: ["web:ro"]
  scratch:
    image: compose-test:1
    volumes: [{type: tmpfs, target: /scratch, tmpfs: {size: 1048576}}]
volumes:
  data: {labels: {keep: "yes"}}
  named: {name: composetest-mounts-elsewhere}
configs: {app: {file: ./app.conf}}
secrets: {password: {file: ./password.txt}}
`,
	"health": `
services:
  api:
    image: compose-test:1
    env_file: [prod.env]
    environment: {OVERRIDDEN: compose}
    depends_on:
      db: {condition: service_healthy, restart: true}
      queue: {condition: service_started}
      cache: {condition: service_started, required: false}
    healthcheck:
      test: ["CMD", "/probe", "http://localhost:8000/health"]
      interval: 10s
      timeout: 5s
      retries: 3
      start_period: 30s
  db:
    image: compose-test:1
    healthcheck: {test: "pg_isready || exit 1"}
  queue:
    image: compose-test:1
    healthcheck: {disable: true}
  cache:
    image: compose-test:1
    profiles: [never]
`,
	"namespaces": `
services:
  outside:
    image: compose-test:1
    network_mode: host
    ipc: host
  vpn:
    image: compose-test:1
  inside:
    image: compose-test:1
    network_mode: service:vpn
    pid: service:vpn
  linked:
    image: compose-test:1
    links: ["vpn:tunnel"]
`,
}

// TestCaptured_IsWhatComposeMakes holds the captured calls against what the real
// docker compose plugin makes on the real Engine.
func TestCaptured_IsWhatComposeMakes(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	config := plugin(t)
	importImage(t)
	engine, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for name, text := range stacks {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, name, text, config)
			p, err := compose.Load(context.Background(), s.options())
			if err != nil {
				t.Fatalf("Load: %v", err)
			}
			s.docker(t, "up", "--no-start", "--quiet-pull")
			for _, spec := range p.Specs {
				t.Run(spec.Service, func(t *testing.T) { s.compare(t, engine, spec) })
			}
		})
	}
}

// plugin builds the docker compose plugin and gives its DOCKER_CONFIG.
func plugin(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("../../scripts/compose-plugin.sh")
	cmd.Stderr = &bytes.Buffer{}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, cmd.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// importImage makes an image with one empty file: nothing of it is ever run.
func importImage(t *testing.T) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "entry", Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker", "import", "--change", `CMD ["/entry"]`, "-", testImage)
	cmd.Stdin = &layer
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", "--force", testImage).CombinedOutput(); err != nil {
			t.Errorf("docker rmi: %v\n%s", err, out)
		}
	})
}

type stack struct {
	dir, config, project string
}

func newStack(t *testing.T, name, text, config string) stack {
	t.Helper()
	s := stack{dir: t.TempDir(), config: config, project: "composetest-" + name}
	for file, content := range map[string]string{
		"compose.yaml": text, "app.conf": "x", "password.txt": "x", "prod.env": "FROM_FILE=1\nOVERRIDDEN=file\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.docker(t, "down", "--volumes", "--timeout", "0") })
	return s
}

func (s stack) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "DOCKER_CONFIG=" + s.config,
		"DOCKER_HOST=" + os.Getenv("DOCKER_HOST"), "TAG=7", "HERE=from-host"}
}

func (s stack) options() compose.Options {
	return compose.Options{WorkingDir: s.dir, ProjectName: s.project, Env: s.env()}
}

func (s stack) docker(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("docker", append([]string{"compose", "--project-name", s.project}, args...)...)
	cmd.Dir, cmd.Env = s.dir, s.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s stack) compare(t *testing.T, engine *client.Client, spec steady.Spec) {
	name := spec.ContainerName
	if name == "" {
		name = s.project + "-" + spec.Service + "-1"
	}
	made, err := engine.ContainerInspect(context.Background(), name, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var want container.CreateRequest
	if err := json.Unmarshal(spec.Container, &want); err != nil {
		t.Fatal(err)
	}
	got := made.Container
	sortMade(got.Config, got.HostConfig)
	s.named(t, engine, got.HostConfig)

	delete(got.Config.Labels, "com.docker.compose.image") // the id of an image that the capture cannot know
	if shares(want.HostConfig) {
		// Compose hashes the id of the container whose namespace or volumes are
		// shared, and that is made anew each time.
		delete(want.Labels, hashLabel)
		delete(got.Config.Labels, hashLabel)
	}
	want.HostConfig.Links = nil // the Engine keeps them in the endpoint
	differ(t, "Config", fields(t, want.Config), fields(t, got.Config), engineConfig)
	differ(t, "HostConfig", fields(t, want.HostConfig), fields(t, got.HostConfig), engineHost)

	if len(spec.Networks) > 0 && len(got.NetworkSettings.Networks) != len(spec.Networks) {
		t.Errorf("it is on %d networks, want %d", len(got.NetworkSettings.Networks), len(spec.Networks))
	}
	if want.NetworkingConfig == nil {
		return
	}
	for name, endpoint := range want.NetworkingConfig.EndpointsConfig {
		on, ok := got.NetworkSettings.Networks[name]
		if !ok {
			t.Errorf("it is not on network %s", name)
			continue
		}
		for _, alias := range endpoint.Aliases {
			if !slices.Contains(on.Aliases, alias) {
				t.Errorf("it is not called %s in %s but %v", alias, name, on.Aliases)
			}
		}
		if !slices.Equal(endpoint.Links, on.Links) {
			t.Errorf("links in %s are %v, want %v", name, on.Links, endpoint.Links)
		}
		if diff := cmp.Diff(fields(t, endpoint.IPAMConfig), fields(t, on.IPAMConfig)); diff != "" {
			t.Errorf("address in %s (-captured +made):\n%s", name, diff)
		}
	}
}

// named replaces the ids of other containers by their names, which is what stands
// in a call that was captured before they had an id.
func (s stack) named(t *testing.T, engine *client.Client, h *container.HostConfig) {
	t.Helper()
	list, err := engine.ContainerList(context.Background(), client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", "com.docker.compose.project="+s.project),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Items {
		name := strings.TrimPrefix(c.Names[0], "/")
		h.NetworkMode = container.NetworkMode(strings.Replace(string(h.NetworkMode), c.ID, name, 1))
		h.PidMode = container.PidMode(strings.Replace(string(h.PidMode), c.ID, name, 1))
		for i, from := range h.VolumesFrom {
			h.VolumesFrom[i] = strings.Replace(from, c.ID, name, 1)
		}
	}
}
