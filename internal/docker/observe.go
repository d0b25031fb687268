package docker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// inspectors is how many containers are looked at side by side.
const inspectors = 8

// Observe lists the project's containers of every state, by service, release and
// number, and looks up the images named by refs. One-off containers and the
// runners of Compose's hooks are left out.
func (e *Engine) Observe(ctx context.Context, project string, refs []string) (steady.Observed, error) {
	out := steady.Observed{Project: project, Images: map[string]steady.Image{}, Memory: e.hostMemory(ctx)}
	all, err := e.listAll(ctx, project)
	if err != nil {
		return out, err
	}
	out.Holders, out.Stopped = holdersIn(all)
	listed := slices.DeleteFunc(all, func(c container.Summary) bool { return aside(c.Labels) })
	if out.Replicas, err = e.inspectAll(ctx, listed); err != nil {
		return out, err
	}
	for _, ref := range refs {
		img, err := e.Image(ctx, ref)
		switch {
		case errors.Is(err, steady.ErrNoImage):
		case err != nil:
			return out, err
		default:
			out.Images[ref] = img
		}
	}
	return out, nil
}

// Projects names the projects that have a container of any state, sorted.
func (e *Engine) Projects(ctx context.Context) ([]string, error) {
	listed, err := e.list(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range listed {
		out = append(out, c.Labels[labelProject])
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// holdersIn tells of the holders that run which networks each is in, by service.
func holdersIn(all []container.Summary) (running map[string][]string, stopped []string) {
	running = map[string][]string{}
	for _, c := range all {
		service := c.Labels[steady.LabelHolder]
		switch {
		case service == "":
		case c.State != container.StateRunning || c.NetworkSettings == nil:
			stopped = append(stopped, service)
		default:
			running[service] = slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
		}
	}
	slices.Sort(stopped)
	return running, stopped
}

// list lists a project's containers but those that are no replicas, or every
// project's where it is empty.
func (e *Engine) list(ctx context.Context, project string) ([]container.Summary, error) {
	all, err := e.listAll(ctx, project)
	return slices.DeleteFunc(all, func(c container.Summary) bool { return aside(c.Labels) }), err
}

func (e *Engine) listAll(ctx context.Context, project string) ([]container.Summary, error) {
	label := labelProject
	if project != "" {
		label += "=" + project
	}
	got, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", label)})
	if err != nil {
		return nil, e.fail("list containers", err)
	}
	return got.Items, nil
}

// aside says whether a container is not a replica: started by `compose run`, the
// runner of a hook, or a holder.
func aside(labels map[string]string) bool {
	return labels[labelOneoff] == "True" || labels[labelHook] != "" || labels[labelService] == ""
}

// inspectAll looks at containers side by side. One that has gone meanwhile is left
// out.
func (e *Engine) inspectAll(ctx context.Context, listed []container.Summary) ([]steady.Replica, error) {
	found := make([]steady.Replica, len(listed))
	errs := make([]error, len(listed))
	sideBySide(len(listed), func(i int) { found[i], errs[i] = e.Replica(ctx, listed[i].ID) })
	var out []steady.Replica
	for i, err := range errs {
		switch {
		case errors.Is(err, steady.ErrNoReplica):
		case err != nil:
			return nil, err
		default:
			out = append(out, found[i])
		}
	}
	slices.SortFunc(out, func(a, b steady.Replica) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Release, b.Release),
			cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}
