package docker_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

func TestName_OthersResolveTheServiceOnlyAfterIt(t *testing.T) {
	b := newBench(t)
	asker := b.started(t, b.release(t, "asker", 1))
	rel := b.release(t, "api", 1)
	c := b.started(t, rel)
	for _, name := range []string{"api", runtimetest.Alias} {
		if got := b.lookup(t, asker.Name, name); got != "" {
			t.Errorf("before Name %s resolves to %s", name, got)
		}
	}
	if err := b.Name(t.Context(), rel, c.Name); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"api", runtimetest.Alias} {
		if got, want := b.lookup(t, asker.Name, name), c.Addresses[b.project+"_default"]; got != want {
			t.Errorf("after Name %s resolves to %q, want %s", name, got, want)
		}
	}
	if got := b.lookup(t, c.Name, "asker"); got != "" {
		t.Errorf("asker resolves to %s, it was never named", got)
	}
}

func TestName_TakesTheOldReplicasPlaceBesideIt(t *testing.T) {
	b := newBench(t)
	asker := b.started(t, b.release(t, "asker", 1))
	var want []string
	for number := 1; number <= 2; number++ {
		rel := b.release(t, "api", number)
		c := b.started(t, rel)
		if err := b.Name(t.Context(), rel, c.Name); err != nil {
			t.Fatal(err)
		}
		want = append(want, c.Addresses[b.project+"_default"])
	}
	if got := b.lookup(t, asker.Name, "api"); got != strings.Join(want, " ") {
		t.Errorf("api resolves to %q, want both of %v", got, want)
	}
	if err := b.Stop(t.Context(), b.project+"-api-1-1"); err != nil {
		t.Fatal(err)
	}
	if got := b.lookup(t, asker.Name, "api"); got != want[1] {
		t.Errorf("after the stop api resolves to %q, want %s", got, want[1])
	}
}

func TestName_KeepsTheAddressesInEveryNetwork(t *testing.T) {
	b := newBench(t)
	spec := runtimetest.Spec(b.project, "api", serveImage)
	spec.Networks = append(spec.Networks, second(b.project))
	rel := b.releaseOf(t, spec, 1)
	earlier := spec
	earlier.Service = "earlier"
	before := b.started(t, b.releaseOf(t, earlier, 1))
	c := b.started(t, rel)
	if len(c.Addresses) != 2 {
		t.Fatalf("addresses %v, want one in each of two networks", c.Addresses)
	}
	if err := b.Remove(t.Context(), before.Name); err != nil { // an Engine gives the lowest free address
		t.Fatal(err)
	}
	if err := b.Name(t.Context(), rel, c.Name); err != nil {
		t.Fatal(err)
	}
	now, err := b.Replica(t.Context(), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c.Addresses, now.Addresses); d != "" {
		t.Errorf("addresses (-before +after):\n%s", d)
	}
	if !c.Started.Equal(now.Started) {
		t.Error("the replica was started anew")
	}
}

// second is another network of the project.
func second(project string) steady.Network {
	name := project + "_back"
	create, _ := json.Marshal(network.CreateRequest{Name: name, Driver: "bridge", Labels: map[string]string{
		"com.docker.compose.project": project, "com.docker.compose.network": "back"}})
	return steady.Network{Key: "back", Name: name, Create: create, Aliases: []string{"api", "behind"}}
}

// A network that docker compose made has no declared subnet: there a replica that
// leaves would come back with another address.
func TestName_IsGivenAtCreateWhereAnAddressCannotComeBack(t *testing.T) {
	b := newBench(t)
	name := b.project + "_default"
	_, err := b.api.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{Driver: "bridge",
		Labels: map[string]string{"com.docker.compose.project": b.project}})
	if err != nil {
		t.Fatal(err)
	}
	for number := 1; number <= 2; number++ { // the second time what was found out is known
		rel := b.release(t, "api", number)
		c := b.started(t, rel)
		if got := b.lookup(t, c.Name, "api"); !strings.Contains(got, c.Addresses[name]) {
			t.Errorf("release %d: api resolves to %q, want %s among them", number, got, c.Addresses[name])
		}
		before, _ := b.api.ContainerInspect(t.Context(), c.Name, client.ContainerInspectOptions{})
		if err := b.Name(t.Context(), rel, c.Name); err != nil {
			t.Fatal(err)
		}
		after, _ := b.api.ContainerInspect(t.Context(), c.Name, client.ContainerInspectOptions{})
		was, is := before.Container.NetworkSettings.Networks[name], after.Container.NetworkSettings.Networks[name]
		if was.EndpointID != is.EndpointID {
			t.Error("it left the network and came back")
		}
	}
}

func TestName_MovesInADeclaredNetworkOfOthers(t *testing.T) {
	b := newBench(t)
	name, subnet := b.project+"_default", freeSubnet(t, b)
	_, err := b.api.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{Driver: "bridge",
		Labels: map[string]string{"com.docker.compose.project": b.project},
		IPAM:   &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}})
	if err != nil {
		t.Fatal(err)
	}
	rel := b.release(t, "api", 1)
	c := b.started(t, rel)
	if got := b.lookup(t, c.Name, "api"); got != "" {
		t.Errorf("before Name api resolves to %s", got)
	}
	if err := b.Name(t.Context(), rel, c.Name); err != nil {
		t.Fatal(err)
	}
	if got := b.lookup(t, c.Name, "api"); got != c.Addresses[name] {
		t.Errorf("after Name api resolves to %q, want %s", got, c.Addresses[name])
	}
}

// freeSubnet asks the Engine for a subnet that nobody has.
func freeSubnet(t *testing.T, b *bench) netip.Prefix {
	t.Helper()
	name := b.project + "_ask"
	if _, err := b.api.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := b.api.NetworkInspect(t.Context(), name, client.NetworkInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.NetworkRemove(t.Context(), name, client.NetworkRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	return got.Network.IPAM.Config[0].Subnet
}

func TestStart_SecondReplicaWithAFixedAddressIsUnsupported(t *testing.T) {
	b := newBench(t)
	subnet := freeSubnet(t, b)
	at := subnet.Addr().Next().Next().Next().Next()
	spec := runtimetest.Spec(b.project, "api", serveImage)
	n := &spec.Networks[0]
	n.Create = json.RawMessage(fmt.Sprintf(
		`{"Name":%q,"IPAM":{"Config":[{"Subnet":%q}]},"Labels":{"com.docker.compose.project":%q}}`, n.Name, subnet, b.project))
	n.Endpoint = json.RawMessage(fmt.Sprintf(`{"IPAMConfig":{"IPv4Address":%q}}`, at))
	old := b.releaseOf(t, spec, 1)
	c := b.started(t, old)
	if got := c.Addresses[n.Name]; got != at.String() {
		t.Fatalf("address %s, want %s", got, at)
	}
	if err := b.Name(t.Context(), old, c.Name); err != nil {
		t.Fatal(err)
	}
	next := b.releaseOf(t, spec, 2)
	d, err := b.Create(t.Context(), next, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	is(t, b.Start(t.Context(), d.Name), steady.ErrUnsupported)
	if err := b.Stop(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), d.Name); err != nil {
		t.Errorf("once the old one is stopped: %v", err)
	}
}

func TestStart_GivesUpAnAddressThatOnlyNameFixed(t *testing.T) {
	b := newBench(t)
	rel := b.release(t, "api", 1)
	c := b.started(t, rel)
	net := b.project + "_default"
	if err := b.Name(t.Context(), rel, c.Name); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	thief := b.started(t, b.release(t, "thief", 1))
	if _, err := b.api.NetworkDisconnect(t.Context(), net, client.NetworkDisconnectOptions{Container: thief.Name}); err != nil {
		t.Fatal(err)
	}
	_, err := b.api.NetworkConnect(t.Context(), net, client.NetworkConnectOptions{Container: thief.Name,
		EndpointConfig: &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(c.Addresses[net])}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	now, err := b.Replica(t.Context(), c.Name)
	if err != nil || !now.Running() || now.Addresses[net] == c.Addresses[net] {
		t.Errorf("it is %s with addresses %v (%v)", now.State, now.Addresses, err)
	}
	if got := b.lookup(t, thief.Name, "api"); got != now.Addresses[net] {
		t.Errorf("api resolves to %q, want %s", got, now.Addresses[net])
	}
}
