package steady

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// AnonymousVolume is a volume that the files give no name: the image declares it
// (VOLUME), or an entry of volumes has no source. It belongs to one replica number of
// one service, and every release's replica of that number mounts the same one.
type AnonymousVolume struct {
	Service string `json:"service"`
	Number  int    `json:"number"` // of the replica
	Path    string `json:"path"`   // in the container, absolute and clean
	Name    string `json:"name"`   // on the Engine; a path of the host where a bind mount is carried over
}

// NewAnonymousVolume names a volume that is still to be made. The name is
// deterministic, so that a crash or a lost store cannot leave two of them, and has the
// shape of those that the Engine gives.
func NewAnonymousVolume(project, service string, number int, at string) AnonymousVolume {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%s", project, service, number, at))
	return AnonymousVolume{Service: service, Number: number, Path: at, Name: hex.EncodeToString(sum[:])}
}

// Unnamed says whether the volume's name is one that nobody has chosen: 64 hex digits,
// as the Engine names anonymous volumes.
func (v AnonymousVolume) Unnamed() bool { return Unnamed(v.Name) }

// Unnamed says whether the name of a volume is 64 hex digits.
func Unnamed(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// EphemeralAll in Spec.EphemeralVolumes stands for every anonymous volume.
const EphemeralAll = "*"

// rebuiltDirs are directories that an image fills and nobody else: an anonymous volume
// there only keeps a bind mount around it from hiding them.
var rebuiltDirs = []string{"node_modules", ".next", "vendor", "__pycache__", "target", ".venv"}

// RebuiltDir says whether a directory's name is that of one which an image fills, such
// as node_modules.
func RebuiltDir(target string) bool { return slices.Contains(rebuiltDirs, path.Base(target)) }

// mounts is the part of the body of POST /containers/create that says what is mounted.
type mounts struct {
	Volumes    map[string]any
	HostConfig struct {
		Binds  []string
		Tmpfs  map[string]string
		Mounts []struct {
			Type, Source, Target string
			ReadOnly             bool
		}
	}
}

// AnonymousVolumes lists, sorted, the paths of the anonymous volumes that a replica
// writes to and its successor must find again, given those that the image declares. A
// path at which the file mounts something else is none; neither is one that the file
// calls ephemeral, one that is read-only, or node_modules and its like within a bind
// mount, which come with each image.
func (s Spec) AnonymousVolumes(declared []string) []string {
	var c mounts
	if decode(s.Container, &c) != nil {
		return nil
	}
	taken, binds := map[string]bool{}, []string{}
	for _, b := range c.HostConfig.Binds {
		_, target, _ := strings.Cut(b, ":")
		target, _, _ = strings.Cut(target, ":")
		taken[cleanTarget(target)] = true
		if strings.HasPrefix(b, "/") {
			binds = append(binds, cleanTarget(target))
		}
	}
	for at := range c.HostConfig.Tmpfs {
		taken[cleanTarget(at)] = true
	}
	var out, sourceless []string
	for _, m := range c.HostConfig.Mounts {
		at := cleanTarget(m.Target)
		switch {
		case m.Type == "volume" && m.Source == "" && !m.ReadOnly:
			sourceless = append(sourceless, at)
			continue
		case m.Type == "bind":
			binds = append(binds, at)
		}
		taken[at] = true
	}
	for _, at := range sourceless {
		masks := RebuiltDir(at) && slices.ContainsFunc(binds, func(b string) bool { return strings.HasPrefix(at, b+"/") })
		if taken[at] = true; !masks {
			out = append(out, at)
		}
	}
	for at := range c.Volumes {
		declared = append(slices.Clip(declared), at)
	}
	for _, at := range declared {
		if at = cleanTarget(at); !taken[at] {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), s.ephemeral)
}

func (s Spec) ephemeral(at string) bool {
	return slices.Contains(s.EphemeralVolumes, EphemeralAll) || slices.Contains(s.EphemeralVolumes, at)
}

// cleanTarget is a path in a container as the Engine understands it.
func cleanTarget(at string) string { return path.Join("/", at) }

// WithVolumes is the spec with its anonymous volumes mounted by name, and a label that
// says which paths they are: the Engine may remove any other anonymous volume with the
// container.
func (s Spec) WithVolumes(volumes []AnonymousVolume) (Spec, error) {
	body, err := object(s.Container)
	if err != nil {
		return s, fmt.Errorf("read the container of %s: %w", s.Ref(), err)
	}
	host, err := object(body["HostConfig"])
	if err != nil {
		return s, fmt.Errorf("read the mounts of %s: %w", s.Ref(), err)
	}
	var mounted []map[string]any
	labels := map[string]string{}
	if err := cmp.Or(decode(host["Mounts"], &mounted), decode(body["Labels"], &labels)); err != nil {
		return s, fmt.Errorf("read the mounts of %s: %w", s.Ref(), err)
	}
	kept := []string{}
	for _, v := range volumes {
		mounted = v.mountedIn(mounted, s.Project)
		kept = append(kept, v.Path)
	}
	labels[LabelVolumes] = string(must(kept))
	if body["Labels"] = must(labels); len(volumes) > 0 {
		host["Mounts"] = must(mounted)
		body["HostConfig"] = must(host)
	}
	s.Container = must(body)
	return s, nil
}

// mountedIn adds the volume to the mounts of a container, or to the entry that mounts
// one without a source there, whose options stay.
func (v AnonymousVolume) mountedIn(mounts []map[string]any, project string) []map[string]any {
	i := slices.IndexFunc(mounts, func(m map[string]any) bool {
		target, _ := m["Target"].(string)
		return cleanTarget(target) == v.Path
	})
	if i < 0 {
		i, mounts = len(mounts), append(mounts, map[string]any{"Target": v.Path})
	}
	m := mounts[i]
	m["Type"], m["Source"] = "volume", v.Name
	if strings.HasPrefix(v.Name, "/") {
		m["Type"] = "bind"
		delete(m, "VolumeOptions")
	}
	if v.Unnamed() {
		options, ok := m["VolumeOptions"].(map[string]any)
		if !ok {
			options = map[string]any{}
		}
		labels, ok := options["Labels"].(map[string]any)
		if !ok {
			labels = map[string]any{}
		}
		labels["com.docker.compose.project"], labels["com.docker.compose.service"] = project, v.Service
		labels["com.docker.compose.container-number"], labels[LabelPath] = fmt.Sprint(v.Number), v.Path
		options["Labels"] = labels
		m["VolumeOptions"] = options
	}
	return mounts
}

func object(raw json.RawMessage) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	return out, decode(raw, &out)
}

// decode reads a part of a body that may be missing or null.
func decode[T any](raw json.RawMessage, into *T) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// must writes what came from JSON, which always can be written.
func must(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
