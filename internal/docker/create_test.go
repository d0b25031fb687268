package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	var e *steady.Error
	if !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("error %v has no hint", err)
	}
}

func (b *bench) inspect(t *testing.T, name string) container.InspectResponse {
	t.Helper()
	c, err := b.api.ContainerInspect(t.Context(), name, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Container
}

func TestCreate_IsComposesContainerWithoutItsHostPorts(t *testing.T) {
	b := newBench(t)
	rel := b.release(t, "api", 3)
	c := b.inspect(t, b.started(t, rel).Name)
	if len(c.HostConfig.PortBindings) > 0 || c.HostConfig.PublishAllPorts {
		t.Errorf("port bindings %v", c.HostConfig.PortBindings)
	}
	if len(c.Config.ExposedPorts) != 1 || c.Config.Image != serveImage || *c.Config.StopTimeout != 5 {
		t.Errorf("exposed %v, image %s, stop timeout %v", c.Config.ExposedPorts, c.Config.Image, c.Config.StopTimeout)
	}
	for label, want := range map[string]string{
		"com.docker.compose.config-hash": "4d1c", "com.docker.compose.container-number": "1",
		"com.docker.compose.image": rel.Image.ID, steady.LabelRelease: "3", steady.LabelRollout: "1",
	} {
		if got := c.Config.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
}

func TestCreate_TakesTheReleasesImageWhereTheTagHasMoved(t *testing.T) {
	b := newBench(t)
	tag := "steady-docker-moving:" + strings.TrimPrefix(b.project, "steady-docker-")
	move := func(source string) {
		if _, err := b.api.ImageTag(t.Context(), client.ImageTagOptions{Source: source, Target: tag}); err != nil {
			t.Fatal(err)
		}
	}
	move(serveImage)
	t.Cleanup(func() {
		b.sweep(t)
		_, _ = b.api.ImageRemove(context.Background(), tag, client.ImageRemoveOptions{})
	})
	rel := b.releaseOf(t, runtimetest.Spec(b.project, "api", tag), 1)
	move(exitImage)
	c := b.inspect(t, b.started(t, rel).Name)
	if c.Image != rel.Image.ID || !c.State.Running {
		t.Errorf("image %s, want %s of the release", c.Image, rel.Image.ID)
	}
}

// within is the spec of a service that lives in the network and the processes of another.
func (b *bench) within(t *testing.T, service, host string) steady.Spec {
	t.Helper()
	spec := runtimetest.Spec(b.project, service, serveImage)
	spec.NetworkMode, spec.Networks = "service:"+host, nil
	var body map[string]any
	if err := json.Unmarshal(spec.Container, &body); err != nil {
		t.Fatal(err)
	}
	of := body["HostConfig"].(map[string]any)
	of["NetworkMode"], of["PidMode"] = "container:"+b.project+"-"+host+"-1", "container:"+b.project+"-"+host+"-1"
	of["IpcMode"] = "shareable"
	delete(body, "NetworkingConfig")
	delete(body, "ExposedPorts")
	spec.Container, _ = json.Marshal(body)
	return spec
}

func TestCreate_SharesTheNetworkOfTheServingReplica(t *testing.T) {
	b := newBench(t)
	host := b.started(t, b.release(t, "vpn", 4))
	c := b.started(t, b.releaseOf(t, b.within(t, "side", "vpn"), 5))
	got := b.inspect(t, c.Name).HostConfig
	if want := "container:" + host.ID; string(got.NetworkMode) != want || string(got.PidMode) != want {
		t.Errorf("network %s, pid %s, want %s", got.NetworkMode, got.PidMode, want)
	}
	if c.Addresses[b.project+"_default"] != host.Addresses[b.project+"_default"] {
		t.Errorf("addresses %v, want those of its host %v", c.Addresses, host.Addresses)
	}
}

// The replica to share with is the one that is named by ID, whichever others run; one
// that was made for another is made again.
func TestCreate_SharesWithTheReplicaThatIsNamed(t *testing.T) {
	b := newBench(t)
	older, newer := b.started(t, b.release(t, "vpn", 4)), b.started(t, b.release(t, "vpn", 5))
	side := b.within(t, "side", "vpn")
	with := func(host steady.Replica) steady.Release {
		spec, err := side.WithShared(map[string]string{b.project + "-vpn-1": host.ID})
		if err != nil {
			t.Fatal(err)
		}
		return b.releaseOf(t, spec, 6)
	}
	c := b.started(t, with(older))
	if c.Joined[steady.ShareNetwork] != older.ID || c.Joined[steady.SharePID] != older.ID {
		t.Errorf("it has joined %v, want %s", c.Joined, older.ID)
	}
	leaf := b.started(t, b.releaseOf(t, b.within(t, "leaf", "side"), 7))
	if leaf.Addresses[b.project+"_default"] != older.Addresses[b.project+"_default"] {
		t.Errorf("one that lives with it has the addresses %v, want %v", leaf.Addresses, older.Addresses)
	}

	recovered, err := b.Recovered(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	vpn := b.release(t, "vpn", 5).Spec
	if got := recovered.Spec.Shares([]steady.Spec{vpn}); len(got) != 2 || got[0].Service != "vpn" || got[0].Number != 1 {
		t.Errorf("recovered, it shares %+v", got)
	}

	if err := b.Stop(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	if c = b.started(t, with(newer)); c.Joined[steady.ShareNetwork] != newer.ID {
		t.Errorf("made for another, it has joined %v, want %s", c.Joined, newer.ID)
	}
}

func TestCreate_MACAddressIsUnsupportedBelowEngine25(t *testing.T) {
	b := newBench(t)
	if _, api, err := b.Version(t.Context()); err != nil || api >= "1.44" {
		t.Logf("API %s takes one (%v)", api, err)
		return
	}
	spec := runtimetest.Spec(b.project, "api", serveImage)
	spec.Networks[0].Endpoint = json.RawMessage(`{"MacAddress":"02:42:ac:11:65:43"}`)
	rel := b.releaseOf(t, spec, 1)
	if err := b.Prepare(t.Context(), rel.Spec); err != nil {
		t.Fatal(err)
	}
	_, err := b.Create(t.Context(), rel, 1, 1)
	is(t, err, steady.ErrUnsupported)
}

func TestStop_HoldsAndStartRestoresThePolicy(t *testing.T) {
	b := newBench(t)
	name := b.started(t, b.release(t, "api", 1)).Name
	policy := func() string { return string(b.inspect(t, name).HostConfig.RestartPolicy.Name) }
	if got := policy(); got != "always" {
		t.Fatalf("policy while it runs: %s", got)
	}
	if err := b.Stop(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if got := policy(); got != "no" {
		t.Errorf("policy once stopped: %s", got)
	}
	if err := b.Start(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if got := policy(); got != "always" {
		t.Errorf("policy once started again: %s", got)
	}
}

func TestStop_LeavesAComposeMadeContainerAPolicyThatHoldsAStop(t *testing.T) {
	b := newBench(t)
	for policy, want := range map[string]string{"always": "unless-stopped", "no": "no", "on-failure": "on-failure"} {
		name := b.project + "-old-" + policy
		_, err := b.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name,
			Config:     &container.Config{Image: serveImage, Labels: map[string]string{"com.docker.compose.project": b.project, "com.docker.compose.service": "old"}},
			HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(policy)}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Start(t.Context(), name), b.Stop(t.Context(), name), b.Start(t.Context(), name)); err != nil {
			t.Fatal(err)
		}
		if got := b.inspect(t, name).HostConfig.RestartPolicy.Name; string(got) != want {
			t.Errorf("%s became %s, want %s", policy, got, want)
		}
	}
}

func TestObserve_TellsThePortsThatAComposeMadeContainerPublishes(t *testing.T) {
	b := newBench(t)
	_, err := b.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: b.project + "-web-1",
		Config: &container.Config{Image: serveImage, Labels: map[string]string{
			"com.docker.compose.project": b.project, "com.docker.compose.service": "web", "com.docker.compose.container-number": "1"}},
		HostConfig: &container.HostConfig{PortBindings: network.PortMap{
			network.MustParsePort("80/tcp"): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "18098"}}, network.MustParsePort("53/udp"): {{HostPort: "18097"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, running := range []bool{false, true} {
		if running {
			if err := b.Start(t.Context(), b.project+"-web-1"); err != nil {
				t.Fatal(err)
			}
		}
		seen, err := b.Observe(t.Context(), b.project, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []steady.Port{{Published: 18097, Target: 53, Transport: "udp", Protocol: "auto"},
			{HostIP: "127.0.0.1", Published: 18098, Target: 80, Transport: "tcp", Protocol: "auto"}}
		if got := seen.Replicas[0]; got.Release != 0 || got.Number != 1 || len(got.Published) != 2 || got.Published[0] != want[0] || got.Published[1] != want[1] {
			t.Errorf("running %v: %+v, want ports %+v", running, got, want)
		}
	}
}

func TestEngine_AwayIsErrNoEngineWithItsAddress(t *testing.T) {
	host := "unix://" + t.TempDir() + "/none.sock"
	eng, err := docker.New(docker.Options{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, observed := eng.Observe(t.Context(), "shop", nil)
	_, _, version := eng.Version(t.Context())
	_, pulled := eng.Pull(t.Context(), steady.Spec{Image: "shop:1"}, func(string) {})
	_, built := eng.Build(t.Context(), steady.Spec{Image: "shop:1", Build: &steady.Build{Context: contextOf(t, "FROM scratch\n")}}, func(string) {})
	for what, err := range map[string]error{"observe": observed, "version": version, "pull": pulled, "build": built,
		"logs": eng.Logs(t.Context(), steady.LogQuery{Project: "shop"}, nil), "stop": eng.Stop(t.Context(), "shop-api-1-1")} {
		if !errors.Is(err, steady.ErrNoEngine) || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestEngine_VersionIsNegotiated(t *testing.T) {
	engine, api, err := newBench(t).Version(t.Context())
	if err != nil || engine == "" || api < "1.41" {
		t.Errorf("engine %q, API %q, %v", engine, api, err)
	}
}

func TestExec_GivesExitCodeAndOutput(t *testing.T) {
	b := newBench(t)
	c := b.started(t, b.release(t, "api", 1))
	code, out, err := b.Exec(t.Context(), c.Name, []string{"/app", "fail"})
	if code != 4 || !strings.Contains(out, "cannot work") || err != nil {
		t.Errorf("exit %d, output %q, %v", code, out, err)
	}
	code, _, err = b.Exec(t.Context(), c.Name, []string{"/nothing"})
	if code == 0 && err == nil {
		t.Error("a command that is not there has exit code 0")
	}
	_, _, err = b.Exec(t.Context(), b.project+"-none", []string{"/app"})
	is(t, err, steady.ErrNoReplica)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err = b.Exec(ctx, c.Name, []string{"/app", "sleep"})
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("a command that does not end: %v after %v", err, took)
	}
}

func contextOf(t *testing.T, dockerfile string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/Dockerfile", dockerfile)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
