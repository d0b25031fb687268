package docker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// held is a release of a service whose names a holder has.
func (b *bench) held(t *testing.T, service string, number int) steady.Release {
	t.Helper()
	return b.releaseOf(t, runtimetest.Held(b.project, service, serveImage), number)
}

func (b *bench) hold(t *testing.T, spec steady.Spec) steady.Holder {
	t.Helper()
	if err := b.Prepare(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	h, err := b.Hold(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHold_TheNamesAreTheHoldersWhileReplicasComeAndGo(t *testing.T) {
	b := newBench(t)
	asker := b.started(t, b.held(t, "asker", 1))
	rel := b.held(t, "api", 1)
	rel.Spec.ContainerName = "api-as-declared"
	rel.Spec.Networks[0].Aliases = append(rel.Spec.Networks[0].Aliases, rel.Spec.ContainerName)
	net := b.project + "_default"
	want := b.hold(t, rel.Spec).Addresses[net]
	only := func(when string) {
		t.Helper()
		for _, name := range rel.Spec.Networks[0].Aliases {
			if got := b.lookup(t, asker.Name, name); got != want {
				t.Errorf("%s: %s resolves to %q, want %s", when, name, got, want)
			}
		}
	}
	only("before any replica")
	old := b.started(t, rel)
	only("beside one")
	rel.Number = 2
	next := b.started(t, rel)
	only("beside two")
	if got := b.lookup(t, asker.Name, next.Name); got != next.Addresses[net] {
		t.Errorf("the replica's own name resolves to %q, want %s", got, next.Addresses[net])
	}
	for _, c := range []steady.Replica{old, next} {
		if err := errors.Join(b.Stop(t.Context(), c.Name), b.Remove(t.Context(), c.Name)); err != nil {
			t.Fatal(err)
		}
	}
	only("after them")
	if err := b.Forget(t.Context(), b.project, "api"); err != nil {
		t.Fatal(err)
	}
	if got := b.lookup(t, asker.Name, "api"); got != "" {
		t.Errorf("after Forget api resolves to %s", got)
	}
}

// Compose names containers PROJECT-SERVICE-NUMBER, and links and external_links name
// those containers. All of them must lead to the holder, and an alias of a link only
// from the container that has the link.
func TestHold_ComposesContainerNamesAndLinksLeadToIt(t *testing.T) {
	b := newBench(t)
	api := b.held(t, "api", 1)
	api.Spec.Replicas = 2
	linked := b.held(t, "linked", 1)
	first := b.project + "-api-1"
	linked.Spec.Networks[0].Endpoint = json.RawMessage(fmt.Sprintf(`{"Links":["%[1]s:backend","%[1]s:api-1"]}`, first))
	from := b.started(t, linked) // before what it links to
	want := b.hold(t, api.Spec).Addresses[b.project+"_default"]
	b.started(t, api)
	for _, name := range []string{"api", first, b.project + "-api-2", "backend", "api-1"} {
		if got := b.lookup(t, from.Name, name); got != want {
			t.Errorf("%s resolves to %q, want %s", name, got, want)
		}
	}
	other := b.started(t, b.held(t, "other", 1))
	if got := b.lookup(t, other.Name, "backend"); got != "" {
		t.Errorf("a link's alias resolves to %s from a container without that link", got)
	}
	api.Spec.Replicas = 1
	before := b.inspect(t, b.project+"-api-steady").NetworkSettings.Networks[b.project+"_default"].EndpointID
	b.hold(t, api.Spec)
	if after := b.inspect(t, b.project+"-api-steady").NetworkSettings.Networks[b.project+"_default"].EndpointID; after != before {
		t.Error("with fewer replicas the holder left its network to give up a name")
	}
}

// The Engine gives a hostname to the network as a name. A link of that name, which
// package compose writes for all others of the project, leads past it.
func TestHold_AHostnameThatIsANameLeadsToItToo(t *testing.T) {
	b := newBench(t)
	api := b.held(t, "api", 1)
	api.Spec.Container = append(json.RawMessage(`{"Hostname":"api",`), api.Spec.Container[1:]...) // with the labels that the sweep looks for
	asker := b.held(t, "asker", 1)
	unlinked := b.started(t, asker)
	asker.Number = 2
	asker.Spec.Networks[0].Endpoint = json.RawMessage(fmt.Sprintf(`{"Links":["%s:api"]}`, steady.HolderName(b.project, "api")))
	from := b.started(t, asker)
	want := b.hold(t, api.Spec).Addresses[b.project+"_default"]
	b.started(t, api)
	if got := b.lookup(t, from.Name, "api"); got != want {
		t.Errorf("api resolves to %q, want %s", got, want)
	}
	if got := b.lookup(t, unlinked.Name, "api"); got == want {
		t.Error("without the link the replica is not found either: this test sees nothing")
	}
}

func TestHold_ANetworkThatComesLaterLeavesTheOthersAlone(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	one := b.hold(t, rel.Spec)
	rel.Spec.Networks = append(rel.Spec.Networks, second(b.project))
	two := b.hold(t, rel.Spec)
	net, back := b.project+"_default", b.project+"_back"
	if two.ID != one.ID || two.PID != one.PID || two.Addresses[net] != one.Addresses[net] || two.Addresses[back] == "" {
		t.Fatalf("it was %+v, is %+v", one, two)
	}
	asker := b.held(t, "asker", 1)
	asker.Spec.Networks = rel.Spec.Networks[1:]
	c := b.started(t, asker)
	if got := b.lookup(t, c.Name, "behind"); got != two.Addresses[back] {
		t.Errorf("behind resolves to %q, want %s", got, two.Addresses[back])
	}
	replica := b.started(t, rel)
	rel.Spec.Networks = rel.Spec.Networks[:1]
	if still := b.hold(t, rel.Spec); still.Addresses[back] == "" {
		t.Error("it left a network in which a replica still is")
	}
	if err := b.Remove(t.Context(), replica.Name); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(one, b.hold(t, rel.Spec)); d != "" {
		t.Errorf("once nobody is there (-as it was +is):\n%s", d)
	}
}

func TestHold_StartsAloneAndTheSameAddressesAreThere(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	rel.Spec.Networks = append(rel.Spec.Networks, second(b.project))
	changes := watching(t, b.Engine)
	one := b.hold(t, rel.Spec)
	for range 4 { // what starts first has the lowest addresses
		rel.Number++
		b.started(t, rel)
	}
	if err := syscall.Kill(one.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	died := until(t, changes, func(c docker.Change) bool { return c.What == docker.HolderChange && c.Replica == one.Name })
	if died.Project != b.project || died.Service != "api" {
		t.Errorf("change %+v", died)
	}
	var two steady.Holder
	for end := time.Now().Add(20 * time.Second); two.PID == 0 || two.PID == one.PID; {
		if time.Now().After(end) {
			t.Fatalf("it does not come back: %+v", two)
		}
		until(t, changes, func(c docker.Change) bool { return c.What == docker.HolderChange })
		held, err := b.Holders(t.Context(), b.project)
		if err != nil || len(held) != 1 {
			t.Fatalf("holders %v: %v", held, err)
		}
		two = held[0]
	}
	if two.ID != one.ID {
		t.Error("it is another container")
	}
	if d := cmp.Diff(one.Addresses, two.Addresses); d != "" {
		t.Errorf("addresses (-before +after):\n%s", d)
	}
	if err := b.Stop(t.Context(), one.Name); err != nil {
		t.Fatal(err)
	}
	rel.Number++
	b.started(t, rel) // the Engine gives it the lowest address that is free
	if d := cmp.Diff(one.Addresses, b.hold(t, rel.Spec).Addresses); d != "" {
		t.Errorf("addresses once another has started first (-before +after):\n%s", d)
	}
	all, err := b.Holders(t.Context(), "")
	if err != nil || !slices.ContainsFunc(all, func(h steady.Holder) bool { return h.ID == one.ID }) {
		t.Errorf("holders of all projects: %v, %v", all, err)
	}
}

func TestHold_TakesASeatAnewWhereItsOwnWasTaken(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	one := b.hold(t, rel.Spec)
	net := b.project + "_default"
	if err := b.Stop(t.Context(), one.Name); err != nil {
		t.Fatal(err)
	}
	thief := b.held(t, "thief", 1)
	thief.Spec.Networks[0].Endpoint = json.RawMessage(fmt.Sprintf(`{"IPAMConfig":{"IPv4Address":%q}}`, one.Addresses[net]))
	thief.Spec.Internal = steady.InternalOff
	c := b.started(t, thief)
	if c.Addresses[net] != one.Addresses[net] {
		t.Fatalf("nothing was taken: %v", c.Addresses)
	}
	two := b.hold(t, rel.Spec)
	if two.PID == 0 || two.Addresses[net] == one.Addresses[net] || two.Addresses[net] == "" {
		t.Errorf("it was %+v, is %+v", one, two)
	}
	if got := b.lookup(t, c.Name, "api"); got != two.Addresses[net] {
		t.Errorf("api resolves to %q, want %s", got, two.Addresses[net])
	}
}

// declared gives a spec's network a subnet and the service a fixed address there.
func declared(t *testing.T, b *bench, spec *steady.Spec) string {
	t.Helper()
	subnet := freeSubnet(t, b)
	at := subnet.Addr().Next().Next().Next().Next().String()
	n := &spec.Networks[0]
	n.Create = json.RawMessage(fmt.Sprintf(
		`{"Name":%q,"Driver":"bridge","IPAM":{"Config":[{"Subnet":%q}]},"Labels":{"com.docker.compose.project":%q}}`, n.Name, subnet, b.project))
	n.Endpoint = json.RawMessage(fmt.Sprintf(`{"IPAMConfig":{"IPv4Address":%q}}`, at))
	return at
}

func TestHold_HasTheFilesAddressAndReplicasStandSideBySide(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	at, net := declared(t, b, &rel.Spec), b.project+"_default"
	h := b.hold(t, rel.Spec)
	if h.Addresses[net] != at {
		t.Fatalf("address %s, want %s", h.Addresses[net], at)
	}
	one := b.started(t, rel)
	again := b.started(t, rel) // adopted
	rel.Number = 2
	two := b.started(t, rel)
	if one.ID != again.ID || one.Addresses[net] == at || two.Addresses[net] == at || two.Addresses[net] == one.Addresses[net] {
		t.Errorf("replicas at %v and %v beside %s", one.Addresses, two.Addresses, at)
	}
}

func TestHold_ANewAddressInTheFileMovesIt(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	at, net := declared(t, b, &rel.Spec), b.project+"_default"
	b.hold(t, rel.Spec)
	moved := strings.TrimSuffix(at, ".4") + ".9"
	rel.Spec.Networks[0].Endpoint = json.RawMessage(fmt.Sprintf(`{"IPAMConfig":{"IPv4Address":%q}}`, moved))
	if h := b.hold(t, rel.Spec); h.Addresses[net] != moved {
		t.Errorf("address %s, want %s", h.Addresses[net], moved)
	}
}

func TestHold_AnAddressThatAReplicaStillHasIsUnsupported(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	rel.Spec.Internal = steady.InternalOff
	at, net := declared(t, b, &rel.Spec), b.project+"_default"
	old := b.started(t, rel)
	rel.Spec.Internal = ""
	_, err := b.Hold(t.Context(), rel.Spec)
	is(t, err, steady.ErrUnsupported)
	if !strings.Contains(err.Error(), old.Name) || !strings.Contains(err.Error(), at) {
		t.Errorf("error does not say who: %v", err)
	}
	if held, _ := b.Holders(t.Context(), b.project); len(held) > 0 {
		t.Errorf("left behind: %v", held)
	}
	if err := b.Stop(t.Context(), old.Name); err != nil {
		t.Fatal(err)
	}
	if h := b.hold(t, rel.Spec); h.Addresses[net] != at {
		t.Errorf("once it is stopped: address %s, want %s", h.Addresses[net], at)
	}
}

// A network that docker compose made has no declared subnet.
func TestHold_InANetworkWithoutADeclaredSubnetReplicasHaveNoNamesEither(t *testing.T) {
	b := newBench(t)
	net := b.project + "_default"
	if _, err := b.api.NetworkCreate(t.Context(), net, client.NetworkCreateOptions{Driver: "bridge",
		Labels: map[string]string{"com.docker.compose.project": b.project}}); err != nil {
		t.Fatal(err)
	}
	rel := b.held(t, "api", 1)
	c := b.started(t, rel)
	if got := b.lookup(t, c.Name, "api"); got != "" {
		t.Errorf("without a holder api resolves to %s", got)
	}
	one := b.hold(t, rel.Spec)
	rel.Spec.Networks[0].Aliases = append(rel.Spec.Networks[0].Aliases, "more")
	two := b.hold(t, rel.Spec)
	for _, name := range []string{"api", "more"} {
		if got := b.lookup(t, c.Name, name); got != two.Addresses[net] || one.ID != two.ID {
			t.Errorf("%s resolves to %q, want %s of %+v", name, got, two.Addresses[net], two)
		}
	}
}

func TestHold_OtherDriversAreUnsupported(t *testing.T) {
	b := newBench(t)
	spec := b.held(t, "api", 1).Spec
	spec.Networks = append(spec.Networks, steady.Network{Key: "elsewhere", Name: "host", External: true, Aliases: []string{"api"}})
	if err := b.Prepare(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	_, err := b.Hold(t.Context(), spec)
	is(t, err, steady.ErrUnsupported)
	if !strings.Contains(err.Error(), "driver host") {
		t.Errorf("error %v", err)
	}
}

func TestHold_SideBySideMakesOne(t *testing.T) {
	b := newBench(t)
	spec := b.held(t, "api", 1).Spec
	if err := b.Prepare(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	got := make(chan steady.Holder, 6)
	for range cap(got) {
		go func() {
			h, err := b.Hold(t.Context(), spec)
			if err != nil {
				t.Error(err)
			}
			got <- h
		}()
	}
	one := <-got
	for range cap(got) - 1 {
		if d := cmp.Diff(one, <-got); d != "" {
			t.Errorf("holders (-one +another):\n%s", d)
		}
	}
}

func TestHold_RefusesAContainerThatIsNoHolder(t *testing.T) {
	b := newBench(t)
	spec := b.held(t, "api", 1).Spec
	if err := b.Prepare(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	c := b.started(t, b.held(t, "other", 1))
	if _, err := b.api.ContainerRename(t.Context(), c.ID, client.ContainerRenameOptions{NewName: b.project + "-api-steady"}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Hold(t.Context(), spec)
	is(t, err, steady.ErrInternal)
	if err := b.Forget(t.Context(), b.project, "api"); err != nil {
		t.Fatal(err)
	}
	if now, err := b.Replica(t.Context(), c.ID); err != nil || !now.Running() {
		t.Errorf("Forget touched it: %+v, %v", now, err)
	}
}

func TestHold_IsAsSmallAndHarmlessAsCanBe(t *testing.T) {
	b := newBench(t)
	h := b.hold(t, b.held(t, "api", 1).Spec)
	c := b.inspect(t, h.Name)
	if !c.HostConfig.ReadonlyRootfs || !slices.Equal(c.HostConfig.CapDrop, []string{"ALL"}) || !c.HostConfig.RestartPolicy.IsAlways() ||
		!slices.Equal(c.HostConfig.SecurityOpt, []string{"no-new-privileges"}) || len(c.HostConfig.PortBindings) > 0 || c.Config.User != "65534:65534" {
		t.Errorf("host config %+v, user %s", c.HostConfig, c.Config.User)
	}
	status, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(h.PID), "status"))
	if err != nil {
		t.Fatal(err)
	}
	var rss int
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &rss); err == nil {
			break
		}
	}
	if rss == 0 || rss > 64 {
		t.Errorf("%d KiB resident", rss)
	}
	began := time.Now()
	if _, err := b.api.ContainerStop(t.Context(), h.Name, client.ContainerStopOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := b.inspect(t, h.Name); c.State.ExitCode != 0 {
		t.Errorf("it was killed after %v: exit code %d", time.Since(began), c.State.ExitCode)
	}
}
