package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// changes says what differs between two releases of a service, in the words of the
// Compose file. Variables and labels go by name: their values may be secrets, and so
// may arguments of commands. That is what the rest is told by, too, but for images,
// ports and limits. Every field of a spec counts: what has no words of its own is told
// by its key.
func changes(was, now steady.Release) []string {
	d := differ{was: was, now: now}
	d.images()
	for _, c := range steady.Differing(was.Spec.Contents, now.Spec.Contents) {
		d.say("content of %s changed", c.Name(now.Spec.WorkingDir))
	}
	d.ports()
	d.container()
	d.build()
	d.spec()
	return slices.Compact(d.out)
}

type differ struct {
	was, now steady.Release
	out      []string
}

func (d *differ) say(format string, args ...any) { d.out = append(d.out, fmt.Sprintf(format, args...)) }

// images tells of the image by reference, and by ID where the reference stayed.
func (d *differ) images() {
	was, now := d.was, d.now
	switch {
	case was.Spec.Image != now.Spec.Image:
		d.say("image %s → %s", was.Spec.Image, now.Spec.Image)
	case now.Image.ID == "":
		d.say("image %s may be another: it comes first", now.Spec.Image)
	case was.Image.ID != now.Image.ID:
		d.say("image %s is another: %s → %s", now.Spec.Image, digits(was.Image), digits(now.Image))
	}
}

// digits is an image's ID, cut short as docker images does.
func digits(i steady.Image) string {
	id := strings.TrimPrefix(i.ID, "sha256:")
	return id[:min(len(id), 12)]
}

// ports tells of published ports, those of a range at once.
func (d *differ) ports() {
	was, now := d.was.Spec.Ports, d.now.Spec.Ports
	for _, p := range steady.Ranges(portsBut(was, now)) {
		d.say("port %s removed", portText(p))
	}
	for _, p := range steady.Ranges(portsBut(now, was)) {
		d.say("port %s added", portText(p))
	}
}

// portsBut are those ports that are not among others.
func portsBut(ports, others []steady.Port) []steady.Port {
	return slices.DeleteFunc(slices.Clone(ports), func(p steady.Port) bool { return slices.Contains(others, p) })
}

// portText writes published ports as the Compose file does.
func portText(p steady.PortRange) string {
	text, udp := strings.CutSuffix(p.String(), "/udp")
	text += ":" + p.Targets()
	if udp {
		return text + "/udp"
	}
	if p.Protocol != "" && p.Protocol != steady.Auto {
		text += " (" + p.Protocol + ")"
	}
	return text
}

// build tells of build args by name, and of the rest of the section as a whole.
func (d *differ) build() {
	was, now := d.was.Spec.Build, d.now.Spec.Build
	if was == nil || now == nil {
		if was != now {
			d.say("build changed")
		}
		return
	}
	d.named("build arg", anyMap(was.Args), anyMap(now.Args))
	a, b := *was, *now
	a.Args, b.Args = nil, nil
	if !same(a, b) {
		d.say("build changed")
	}
}

func anyMap(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// named tells which names came, went or have another value.
func (d *differ) named(what string, was, now map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if v, there := now[name]; !there {
			d.say("%s %s removed", what, name)
		} else if !same(v, was[name]) {
			d.say("%s %s changed", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, there := was[name]; !there {
			d.say("%s %s added", what, name)
		}
	}
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// told elsewhere, or said by another key.
var silent = map[string]bool{
	"project": true, "service": true, "image": true, "container": true, "contents": true, "original": true, "build": true, "ports": true,
	"replicas": true, "project_hooks": true, "notify": true,
}

// words are what a person knows a key of the spec by, where it is not the key.
var words = map[string]string{
	"working_dir": "project directory", "files": "list of Compose files", "stop_grace": "stop_grace_period", "routes": "x-steady.routes",
	"internal": "x-steady.internal", "probe": "healthcheck", "update": "deploy.update_config", "rollback": "deploy.rollback_config",
	"drain": "x-steady.drain", "sticky": "x-steady.sticky", "assets": "x-steady.assets", "holding": "x-steady.hold", "warm": "x-steady.warm",
	"canary": "x-steady.canary", "hooks": "x-steady.hooks", "state": "volumes",
	"job": "who waits for its completion",
}

// spec tells of all that is no part of the container.
func (d *differ) spec() {
	a, b := d.was.Spec, d.now.Spec
	a.Probe.Cause, b.Probe.Cause = "", "" // a sentence, and no setting
	was, now := keys(a), keys(b)
	for _, key := range union(was, now) {
		if silent[key] || same(was[key], now[key]) {
			continue
		}
		word := key
		if w, known := words[key]; known {
			word = w
		}
		d.once(word)
	}
}

// once says that something changed, unless it was said in more detail.
func (d *differ) once(word string) {
	for _, said := range d.out {
		if strings.HasPrefix(said, strings.TrimSuffix(word, "s")) {
			return
		}
	}
	d.say("%s changed", word)
}

// keys takes a value apart by its JSON keys.
func keys(v any) map[string]any {
	out := map[string]any{}
	if b, err := json.Marshal(v); err == nil {
		_ = json.Unmarshal(b, &out)
	}
	return out
}

func union(a, b map[string]any) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}
