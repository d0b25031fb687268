package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// mounted decides which anonymous volumes each new replica mounts, by replica number:
// two replicas never share one, and each has that of its predecessor.
func (b *builder) mounted(m *move) {
	paths := b.anonymous(m)
	for n := range m.Replicas {
		var own []steady.AnonymousVolume
		for _, at := range paths {
			v, change := b.volume(m, n+1, at)
			own = append(own, v)
			m.volumes(at, change, v.Name, "")
		}
		m.mounts = append(m.mounts, own)
	}
	for _, old := range b.predecessors(m.Service) {
		for _, v := range old.Volumes {
			if v.Anonymous && !slices.Contains(paths, v.Path) {
				m.volumes(v.Path, steady.VolumeLeft, v.Name, m.leaves(v.Path))
			}
		}
	}
}

// anonymous are the paths of the target's anonymous volumes. What the image declares is
// known once it is there; until then it is taken to declare what is mounted now.
func (b *builder) anonymous(m *move) []string {
	for _, img := range b.in.Observed.Images {
		if m.image == "" && img.ID == m.target.Image.ID {
			return m.spec().AnonymousVolumes(img.Volumes)
		}
	}
	declared := slices.Clone(m.target.Image.Volumes)
	for _, r := range b.in.Observed.Of(m.Service) {
		for _, v := range r.Volumes {
			if v.Anonymous {
				declared = append(declared, v.Path)
			}
		}
	}
	return m.spec().AnonymousVolumes(declared)
}

// volume is what the n-th replica mounts at a path. As with Compose that is what the
// container before it has there, also where that is a volume with a name which the file
// does not mention any more. A rollback goes back to the volume that the release had.
func (b *builder) volume(m *move, n int, at string) (steady.AnonymousVolume, string) {
	v := steady.NewAnonymousVolume(b.in.Project, m.Service, n, at)
	var named string
	if old, ok := b.predecessor(m, n); ok {
		for _, had := range old.Volumes {
			switch {
			case had.Path != at || had.Ephemeral:
			case had.Anonymous:
				v.Name = had.Name
				return v, steady.VolumeKept
			default:
				named = had.Name
			}
		}
	}
	known := b.known(m.Service, n, at)
	if b.in.Kind == steady.KindRollback {
		named, known = known, named
	}
	if name := cmp.Or(named, known); name != "" {
		v.Name = name
		return v, steady.VolumeKept
	}
	return v, steady.VolumeNew
}

// known is the volume that the replica of that number had last, though no container
// has it now, or nothing.
func (b *builder) known(service string, n int, at string) string {
	var name string
	for _, v := range b.in.Volumes {
		if v.Service == service && v.Number == n && v.Path == at {
			name = v.Name
		}
	}
	return name
}

// predecessors are the containers of a service, whatever their state: those that serve
// first, then those that run, the newest release first.
func (b *builder) predecessors(service string) []steady.Replica {
	now, _ := b.route(service)
	rank := func(r steady.Replica) int {
		switch {
		case slices.Contains(now.Replicas, r.Name):
			return 0
		case r.Running():
			return 1
		}
		return 2
	}
	all := slices.Clone(b.in.Observed.Of(service))
	slices.SortStableFunc(all, func(x, y steady.Replica) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(y.Release, x.Release))
	})
	return all
}

// predecessor is the container whose volumes the n-th replica takes over: the one of
// its number. Compose's numbers may have gaps: a container of a higher number than the
// service now has replicas goes to a number that has none.
func (b *builder) predecessor(m *move, n int) (steady.Replica, bool) {
	all := b.predecessors(m.Service)
	numbered := func(n int) int { return slices.IndexFunc(all, func(r steady.Replica) bool { return r.Number == n }) }
	if i := numbered(n); i >= 0 {
		return all[i], true
	}
	spare := slices.DeleteFunc(slices.Clone(all), func(r steady.Replica) bool { return r.Release > 0 || r.Number > 0 && r.Number <= m.Replicas })
	slices.SortStableFunc(spare, func(x, y steady.Replica) int { return cmp.Compare(x.Number, y.Number) })
	for k := 1; k < n; k++ {
		if numbered(k) < 0 && len(spare) > 0 {
			spare = spare[1:]
		}
	}
	if len(spare) == 0 {
		return steady.Replica{}, false
	}
	return spare[0], true
}

// volumes notes for people what becomes of a volume.
func (m *move) volumes(at, change, name, cause string) {
	i := slices.IndexFunc(m.Volumes, func(v steady.VolumePlan) bool { return v.Path == at && v.Change == change })
	if i < 0 {
		i, m.Volumes = len(m.Volumes), append(m.Volumes, steady.VolumePlan{Path: at, Change: change, Cause: cause})
	}
	if !slices.Contains(m.Volumes[i].Names, name) {
		m.Volumes[i].Names = append(m.Volumes[i].Names, name)
	}
}

// leaves says why the new release does not mount an anonymous volume that the old one has.
func (m *move) leaves(at string) string {
	spec := m.spec()
	switch {
	case slices.Contains(spec.EphemeralVolumes, steady.EphemeralAll), slices.Contains(spec.EphemeralVolumes, at):
		return "x-steady.ephemeral_volumes says so"
	case steady.RebuiltDir(at):
		return "it comes with each image"
	case len(spec.AnonymousVolumes([]string{at})) == 0:
		return "the file mounts something else there"
	}
	return "neither the file nor the image declares it any more"
}

// owned says why no replica may run beside the one that it replaces, as both would
// write to one anonymous volume, or nothing.
func (m *move) owned() string {
	var paths []string
	for _, v := range m.Volumes {
		if v.Change != steady.VolumeLeft {
			paths = append(paths, v.Path)
		}
	}
	paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	cause := ""
	switch {
	case len(paths) == 0:
		return ""
	case m.Replicas <= 1:
		cause = "one replica writes to the anonymous volume " + strings.Join(paths, ", ")
	default:
		cause = "each replica writes to an anonymous volume of its own, " + strings.Join(paths, ", ")
	}
	if m.spec().Update.Order == steady.StartFirst {
		cause += fmt.Sprintf("; %s would have two write to it at once", steady.StartFirst)
	}
	return cause
}

// record notes the project's anonymous volumes in the plan, those in use last: they are
// found by it when no container has them any more.
func (b *builder) record() {
	note := func(vs ...steady.AnonymousVolume) {
		for _, v := range vs {
			if v.Unnamed() {
				b.plan.Volumes = append(slices.DeleteFunc(b.plan.Volumes, func(had steady.AnonymousVolume) bool { return had.Name == v.Name }), v)
			}
		}
	}
	var seen []string
	for _, r := range b.in.Observed.Replicas {
		if slices.Contains(seen, r.Service) {
			continue
		}
		seen = append(seen, r.Service)
		all := b.predecessors(r.Service)
		slices.Reverse(all)
		for _, r := range all {
			note(anonymousOf(r)...)
		}
	}
	for _, m := range b.moves {
		note(slices.Concat(m.mounts...)...)
	}
}

// anonymousOf are the anonymous volumes of a container.
func anonymousOf(r steady.Replica) []steady.AnonymousVolume {
	var out []steady.AnonymousVolume
	for _, v := range r.Volumes {
		if v.Anonymous {
			out = append(out, steady.AnonymousVolume{Service: r.Service, Number: r.Number, Path: v.Path, Name: v.Name})
		}
	}
	return out
}

// discarded are the project's anonymous volumes, of containers that are there or not.
func discarded(in Input) []steady.AnonymousVolume {
	out := slices.Clone(in.Volumes)
	for _, r := range in.Observed.Replicas {
		out = append(out, anonymousOf(r)...)
	}
	var once []steady.AnonymousVolume
	for _, v := range out {
		if v.Unnamed() && !slices.ContainsFunc(once, func(had steady.AnonymousVolume) bool { return had.Name == v.Name }) {
			once = append(once, v)
		}
	}
	return once
}
