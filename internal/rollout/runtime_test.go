package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// The place as a Runtime. It is held to what the real one is held to.
func TestPlace_IsARuntimeAsTheRealOne(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Subject {
		p := newPlace()
		for _, ref := range []string{"serve", "exit"} {
			p.images[ref] = steady.Image{Ref: ref, ID: "id-" + ref}
		}
		p.exit["id-exit"] = 3
		return runtimetest.Subject{Runtime: p, Project: "fake", Serve: "serve", Exit: "exit", Missing: "missing",
			Names: func(_ context.Context, _, name string) ([]string, error) {
				p.mu.Lock()
				defer p.mu.Unlock()
				_, replica := p.replicas[name]
				_, holder := p.holders[name]
				if !replica && !holder {
					return nil, steady.ErrNoReplica
				}
				return p.names[name], nil
			}}
	})
}

func (p *place) Observe(ctx context.Context, project string, refs []string) (steady.Observed, error) {
	unlock := p.note("observe %s", project)
	gate := p.blocked["observe"]
	unlock()
	if gate != nil {
		<-ctx.Done()
		return steady.Observed{}, fmt.Errorf("list containers: %w", ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := steady.Observed{Project: project, Images: map[string]steady.Image{}}
	for _, n := range slices.Sorted(maps.Keys(p.replicas)) {
		if p.projects[n] == project && !p.aside[n] {
			o.Replicas = append(o.Replicas, p.replicas[n])
		}
	}
	o.Holders = map[string][]string{}
	for _, h := range p.holders {
		switch {
		case h.Project != project:
		case h.PID > 0:
			o.Holders[h.Service] = slices.Sorted(maps.Keys(h.Addresses))
		default:
			o.Stopped = append(o.Stopped, h.Service)
		}
	}
	for _, r := range refs {
		if img, ok := p.images[r]; ok {
			o.Images[r] = img
		}
	}
	return o, nil
}

func (p *place) Replica(_ context.Context, name string) (steady.Replica, error) {
	defer p.note("look at %s", name)()
	r, ok := p.replicas[name]
	if !ok {
		return r, steady.ErrNoReplica
	}
	return r, p.fails["look at "+name]
}

func (p *place) Image(_ context.Context, ref string) (steady.Image, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	img, ok := p.images[ref]
	if !ok {
		return img, steady.ErrNoImage
	}
	return img, nil
}

func (p *place) Pull(ctx context.Context, s steady.Spec, _ func(string)) (steady.Image, error) {
	unlock := p.note("pull %s", s.Image)
	gate := p.blocked["pull "+s.Image]
	img, has := p.pulls[s.Image]
	unlock()
	if has {
		return img, nil
	}
	if gate != nil {
		<-ctx.Done()
		return steady.Image{}, fmt.Errorf("pull %s: %w", s.Image, ctx.Err())
	}
	return steady.Image{}, steady.ErrNoImage.With("image "+s.Image+" is nowhere", "docker pull "+s.Image)
}

func (p *place) Build(_ context.Context, s steady.Spec, _ func(string)) (steady.Image, error) {
	defer p.note("build %s", s.Image)()
	p.images[s.Image] = steady.Image{Ref: s.Image, ID: "built-" + s.Image}
	return p.images[s.Image], nil
}

func (p *place) Prepare(_ context.Context, s steady.Spec) error {
	defer p.note("prepare %s", s.Service)()
	for _, n := range s.Networks {
		if n.External && !p.networks[n.Name] {
			return fmt.Errorf("network %s is not there", n.Name)
		}
		p.networks[n.Name] = true
	}
	return nil
}

func (p *place) Create(_ context.Context, r steady.Release, n int, rollout int64) (steady.Replica, error) {
	name := r.ReplicaName(n)
	defer p.note("create %s", name)()
	if c, ok := p.replicas[name]; ok && (c.Image != r.Image.ID || c.Release != r.Number) {
		return c, fmt.Errorf("%s is there but of another image", name)
	} else if ok {
		return c, nil
	}
	for _, net := range r.Spec.Networks {
		if !p.networks[net.Name] {
			return steady.Replica{}, fmt.Errorf("network %s is not there", net.Name)
		}
	}
	c := steady.Replica{ID: "id-" + name, Created: time.Now(), Name: name, Service: r.Service, Release: r.Number, Number: n, Rollout: rollout, Image: r.Image.ID,
		State: steady.StateCreated, Restart: r.Spec.Restart}
	if bytes.Contains(r.Spec.Container, []byte(`"8000/tcp":{}`)) {
		c.Exposed = []uint16{8000}
	}
	c.Volumes, c.Networks = mountedBy(r.Spec), networksOf(r.Spec)
	p.replicas[name], p.projects[name] = c, r.Project
	return c, nil
}

// networksOf names the networks of a spec, sorted.
func networksOf(s steady.Spec) []string {
	var out []string
	for _, n := range s.Networks {
		out = append(out, n.Name)
	}
	slices.Sort(out)
	return out
}

// mountedBy are the volumes that a container of the spec has, with those that its label
// calls anonymous.
func mountedBy(s steady.Spec) []steady.MountedVolume {
	var c struct {
		Labels     map[string]string
		HostConfig struct {
			Mounts []struct{ Source, Target string }
		}
	}
	var kept []string
	if json.Unmarshal(s.Container, &c) != nil || c.Labels[steady.LabelVolumes] != "" && json.Unmarshal([]byte(c.Labels[steady.LabelVolumes]), &kept) != nil {
		return nil
	}
	var out []steady.MountedVolume
	for _, m := range c.HostConfig.Mounts {
		out = append(out, steady.MountedVolume{Path: m.Target, Name: m.Source, Anonymous: slices.Contains(kept, m.Target)})
	}
	return out
}

func (p *place) KeepImage(_ context.Context, r steady.Release) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := slices.ContainsFunc(slices.Collect(maps.Values(p.images)), func(i steady.Image) bool { return i.ID == r.Image.ID })
	if !known && strings.HasPrefix(r.Image.ID, "sha256:") {
		return steady.ErrNoImage
	}
	p.tags[r.ImageTag()] = r.Image.ID
	return nil
}

func (p *place) KeptImages(_ context.Context, project string) ([]steady.KeptImage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []steady.KeptImage
	for tag, id := range p.tags {
		if strings.HasPrefix(tag, steady.ReleaseTags(project)) {
			out = append(out, steady.KeptImage{Tag: tag, Image: id})
		}
	}
	return out, nil
}

func (p *place) DropImage(_ context.Context, tag string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.tags[tag]
	delete(p.tags, tag)
	for _, other := range p.tags {
		if other == id {
			return false, nil
		}
	}
	for _, img := range p.images {
		if img.ID == id {
			return false, nil
		}
	}
	return id != "", nil
}

func (p *place) RemoveVolumes(_ context.Context, names []string) error {
	defer p.note("remove volumes %v", names)()
	return nil
}

// set changes a container that must be there.
func (p *place) set(name string, do func(*steady.Replica)) error {
	c, ok := p.replicas[name]
	if !ok {
		return steady.ErrNoReplica
	}
	do(&c)
	p.replicas[name] = c
	return nil
}

func (p *place) Start(_ context.Context, name string) error {
	defer p.note("start %s", name)()
	if err := p.fails["start "+name]; err != nil {
		return err
	}
	return p.set(name, func(c *steady.Replica) {
		if c.Running() {
			return
		}
		c.State, c.Started = steady.StateRunning, time.Now()
		if c.Addresses == nil {
			c.Addresses = map[string]string{p.projects[name] + "_default": fmt.Sprintf("10.0.0.%d", len(p.replicas))}
		}
	})
}

func (p *place) Name(_ context.Context, r steady.Release, name string) error {
	defer p.note("name %s", name)()
	return p.set(name, func(c *steady.Replica) {
		c.Networks = networksOf(r.Spec)
		if held, _ := r.Spec.Held(); !held {
			p.names[name] = r.Spec.Networks[0].Aliases
		}
	})
}

func (p *place) Stop(_ context.Context, name string) error {
	defer p.note("stop %s", name)()
	if p.halt(name) {
		return nil
	}
	err := p.set(name, func(c *steady.Replica) { c.State, c.ExitCode = steady.StateExited, 0 })
	if errors.Is(err, steady.ErrNoReplica) {
		return nil
	}
	return err
}

func (p *place) Remove(_ context.Context, name string) error {
	defer p.note("remove %s", name)()
	delete(p.replicas, name)
	delete(p.names, name)
	return nil
}

func (p *place) Wait(ctx context.Context, name string) (int, error) {
	defer p.note("wait %s", name)()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	code := 0
	err := p.set(name, func(c *steady.Replica) {
		code = p.exit[name] + p.exit[c.Image]
		c.State, c.ExitCode = steady.StateExited, code
	})
	return code, err
}

func (p *place) Record(ctx context.Context, name string, lines, bytes int) ([]steady.LogLine, error) {
	all, err := p.Tail(ctx, name, lines)
	var out []steady.LogLine
	for _, text := range slices.Backward(all) {
		if bytes -= len(text); bytes < 0 {
			break
		}
		out = append([]steady.LogLine{{Replica: name, Text: text}}, out...)
	}
	return out, err
}

func (p *place) Tail(_ context.Context, name string, n int) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.replicas[name]; !ok {
		return nil, steady.ErrNoReplica
	}
	all := []string{"one", "two", "three"}
	return all[len(all)-min(n, len(all)):], nil
}

func (p *place) Clean(_ context.Context, project string, _ bool) error {
	defer p.note("clean %s", project)()
	for name, c := range p.replicas {
		if c.Running() && p.projects[name] == project {
			return nil
		}
	}
	for name, h := range p.holders {
		if h.Project == project {
			p.forget(name)
		}
	}
	delete(p.networks, project+"_default")
	return nil
}
