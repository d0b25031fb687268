package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// hookPreStart in labelHook is what makes a holder one that docker compose never
// lists, stops or counts, and yet removes with `down`, before the networks. All of
// its other commands ask for a label that a holder has not, its config-hash. A
// one-off container, as `compose run` makes, would not do: `ps --all`, `top` and
// `kill` take those and `down` leaves them, and the network with them.
const hookPreStart = "pre_start"

// nobody is whom the holder runs as.
const nobody = "65534:65534"

// imageTries is how often the holder's image may go away, with the last other
// holder, between the look at it and its use.
const imageTries = 3

// Hold makes sure of the holder of the spec's service: it runs, it is in all of the
// spec's networks, and there it has the service's names, the file's address and
// nothing else of the service. One that is as it should be is left alone. Its
// addresses stay what they were, also when it starts anew: see seat. Where its
// names in a network change it leaves that network and comes back, so that its
// interface there is another one. steady.ErrUnsupported where the service cannot
// have one, or another container has the address that the file gives it.
func (e *Engine) Hold(ctx context.Context, spec steady.Spec) (steady.Holder, error) {
	if held, why := spec.Held(); !held {
		return steady.Holder{}, noHolder(spec, why)
	}
	done, err := e.turn(ctx, spec.Ref())
	if err != nil {
		return steady.Holder{}, err
	}
	defer done()
	nets, err := e.bridges(ctx, spec)
	if err != nil {
		return steady.Holder{}, err
	}
	c, made, err := e.holder(ctx, spec, nets)
	if err != nil {
		return steady.Holder{}, err
	}
	err = e.seatAll(ctx, spec, c)
	if err == nil && !c.State.Running {
		err = e.startHolder(ctx, spec, c)
	}
	if err != nil {
		if made {
			err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), c.ID))
		}
		return steady.Holder{}, err
	}
	if c, err = e.inspect(ctx, c.ID); err != nil {
		return steady.Holder{}, err
	}
	return holderOf(c), nil
}

func noHolder(spec steady.Spec, why string) error {
	return steady.ErrUnsupported.With(fmt.Sprintf("%s cannot have a holder: %s", spec.Ref(), why), "set x-steady.internal: off for it")
}

// bridges gives the IDs of the service's networks by name. They must be bridges of
// this machine: in others nothing can be redirected. Of external ones only the
// Engine knows.
func (e *Engine) bridges(ctx context.Context, spec steady.Spec) (map[string]string, error) {
	ids := map[string]string{}
	for _, n := range spec.Networks {
		net, there, err := e.network(ctx, n.Name)
		switch {
		case err != nil:
			return nil, err
		case !there:
			return nil, noNetwork(n)
		case net.Driver != "bridge":
			return nil, noHolder(spec, fmt.Sprintf("network %s has driver %s", n.Name, net.Driver))
		}
		ids[n.Name] = net.ID
	}
	return ids, nil
}

// holder finds the service's holder or makes one, which does not run yet and is in
// the first of its networks without a name.
func (e *Engine) holder(ctx context.Context, spec steady.Spec, nets map[string]string) (c container.InspectResponse, made bool, err error) {
	name := steady.HolderName(spec.Project, spec.Service)
	c, err = e.inspect(ctx, name)
	switch {
	case errors.Is(err, steady.ErrNoReplica):
	case err != nil:
		return c, false, err
	case !holds(c, spec.Project, spec.Service):
		return c, false, steady.ErrInternal.With(fmt.Sprintf("container %s is there but not the holder of %s", name, spec.Ref()), "docker rm -f "+name)
	case usable(c, nets):
		always := container.RestartPolicy{Name: container.RestartPolicyAlways}
		return c, false, e.setRestart(ctx, c, c.HostConfig.RestartPolicy, always)
	default:
		if err := e.Remove(ctx, c.ID); err != nil {
			return c, false, err
		}
	}
	if err := e.createHolder(ctx, spec); err != nil {
		return c, false, err
	}
	c, err = e.inspect(ctx, name)
	return c, true, err
}

// usable says whether a holder runs or can be started: a network may have been
// removed under one that did not run, and another made by its name.
func usable(c container.InspectResponse, nets map[string]string) bool {
	if c.State.Running {
		return true
	}
	for name, ep := range c.NetworkSettings.Networks {
		if id := nets[name]; id != "" && ep != nil && ep.NetworkID != "" && ep.NetworkID != id {
			return false
		}
	}
	return !c.State.Dead
}

func holds(c container.InspectResponse, project, service string) bool {
	return c.Config.Labels[steady.LabelHolder] == service && c.Config.Labels[labelProject] == project
}

func (e *Engine) createHolder(ctx context.Context, spec steady.Spec) error {
	name := steady.HolderName(spec.Project, spec.Service)
	var err error
	for range imageTries {
		var ref string
		if ref, err = e.holderImage(ctx); err != nil {
			return err
		}
		body := holderBody(name, ref, spec)
		if err = e.silence(ctx, spec, body); err != nil {
			return err
		}
		_, err = e.api.ContainerCreate(ctx, body)
		if !cerrdefs.IsNotFound(err) || !strings.Contains(strings.ToLower(err.Error()), "no such image") {
			break
		}
	}
	return e.fail("create container "+name, err)
}

// holderBody is the call that creates a holder. It can do nothing and forwards
// nothing: a neighbour that makes it its gateway must not get from one of its
// networks into another.
func holderBody(name, image string, spec steady.Spec) client.ContainerCreateOptions {
	var noInit bool
	return client.ContainerCreateOptions{
		Name: name,
		Config: &container.Config{
			Image: image, User: nobody,
			Labels: map[string]string{
				labelProject: spec.Project, labelService: spec.Service, labelOneoff: "True", labelHook: hookPreStart,
				steady.LabelHolder: spec.Service,
			},
		},
		HostConfig: &container.HostConfig{
			NetworkMode:    container.NetworkMode(spec.Networks[0].Name),
			RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyAlways},
			ReadonlyRootfs: true,
			CapDrop:        []string{"ALL"},
			SecurityOpt:    []string{"no-new-privileges"},
			IpcMode:        container.IPCModeNone,
			Init:           &noInit,
			LogConfig:      container.LogConfig{Type: "none"},
			Sysctls:        map[string]string{"net.ipv4.ip_forward": "0"},
		},
	}
}

// silent has the holder answer nobody who asks for its address, until redirecting
// to its listener is in force (package listen ends it): who calls it before that is
// late then, by at most a second, and not refused. It is for one that gets names
// which others have and are called by.
const silent = "net.ipv4.conf.all.arp_ignore"

// silence makes a holder silent where containers of the service run already.
func (e *Engine) silence(ctx context.Context, spec steady.Spec, o client.ContainerCreateOptions) error {
	seen, err := e.Observe(ctx, spec.Project, nil)
	if err == nil && slices.ContainsFunc(seen.Of(spec.Service), steady.Replica.Running) {
		o.HostConfig.Sysctls[silent] = "8" // networking/ip-sysctl: no reply for any local address
	}
	return err
}

// Forget removes the service's holder, and the image of it where it was the last.
// Gone is no error.
func (e *Engine) Forget(ctx context.Context, project, service string) error {
	done, err := e.turn(ctx, project+"/"+service)
	if err != nil {
		return err
	}
	defer done()
	c, err := e.inspect(ctx, steady.HolderName(project, service))
	switch {
	case errors.Is(err, steady.ErrNoReplica):
		return nil
	case err != nil:
		return err
	case !holds(c, project, service):
		return nil
	}
	if err := e.Remove(ctx, c.ID); err != nil {
		return err
	}
	e.dropHolderImage(ctx, c.Config.Image)
	return nil
}

// Holders lists the holders of a project in any state, or of all projects where it
// is empty, sorted by service.
func (e *Engine) Holders(ctx context.Context, project string) ([]steady.Holder, error) {
	of := client.Filters{}.Add("label", steady.LabelHolder)
	if project != "" {
		of = of.Add("label", labelProject+"="+project)
	}
	got, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of})
	if err != nil {
		return nil, e.fail("list holders", err)
	}
	found := make([]steady.Holder, len(got.Items))
	errs := make([]error, len(got.Items))
	sideBySide(len(got.Items), func(i int) {
		c, err := e.inspect(ctx, got.Items[i].ID)
		if err == nil {
			found[i] = holderOf(c)
		} else if !errors.Is(err, steady.ErrNoReplica) {
			errs[i] = err
		}
	})
	found = slices.DeleteFunc(found, func(h steady.Holder) bool { return h.ID == "" })
	slices.SortFunc(found, func(a, b steady.Holder) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Service, b.Service))
	})
	return found, errors.Join(errs...)
}

func holderOf(c container.InspectResponse) steady.Holder {
	h := steady.Holder{
		Project: c.Config.Labels[labelProject], Service: c.Config.Labels[steady.LabelHolder],
		ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Addresses: map[string]string{}, Networks: networksOf(c),
	}
	if c.State.Running {
		h.PID = c.State.Pid
	}
	if started, err := time.Parse(time.RFC3339Nano, c.State.StartedAt); err == nil && started.Year() > 1 {
		h.Started = started
	}
	for net, ep := range c.NetworkSettings.Networks {
		if ep != nil && ep.IPAddress.Is4() {
			h.Addresses[net] = ep.IPAddress.String()
		}
	}
	return h
}
