package plan

import (
	"encoding/json"
	"fmt"
	"strings"

	"gesalpai.ch/steady"
)

// container tells what differs in the body of the call that creates a container.
func (d *differ) container() {
	was, now := bodyOf(d.was.Spec), bodyOf(d.now.Spec)
	d.named("environment", pairs(was["Env"]), pairs(now["Env"]))
	d.labels(was, now)
	d.mounts(was, now)
	d.networks()
	for _, key := range union(was, now) {
		if !containerSilent[key] && !same(was[key], now[key]) {
			d.once(wordOf(key))
		}
	}
	a, b := within(was, "HostConfig"), within(now, "HostConfig")
	d.limits(a, b)
	for _, key := range union(a, b) {
		if !containerSilent[key] && !same(a[key], b[key]) {
			d.once(wordOf(key))
		}
	}
}

// bodyOf is the body by its keys.
func bodyOf(s steady.Spec) map[string]any {
	out := map[string]any{}
	_ = json.Unmarshal(s.Container, &out) // what is no JSON never was a container
	return out
}

func within(body map[string]any, key string) map[string]any {
	out, _ := body[key].(map[string]any)
	return out
}

// pairs reads a list "NAME=value".
func pairs(list any) map[string]any {
	out := map[string]any{}
	entries, _ := list.([]any)
	for _, e := range entries {
		name, value, set := strings.Cut(fmt.Sprint(e), "=")
		if out[name] = value; !set {
			out[name] = nil
		}
	}
	return out
}

// composes are the labels of Compose's own, whose values follow from the rest.
const composes = "com.docker.compose."

func (d *differ) labels(was, now map[string]any) {
	own := func(body map[string]any) map[string]any {
		out := map[string]any{}
		for name, value := range within(body, "Labels") {
			if !strings.HasPrefix(name, composes) {
				out[name] = value
			}
		}
		return out
	}
	d.named("label", own(was), own(now))
}

// mounts tells of mounts by their places in the container, whichever way Compose
// writes them into the call.
func (d *differ) mounts(was, now map[string]any) {
	d.named("mount", mountsOf(was), mountsOf(now))
}

func mountsOf(body map[string]any) map[string]any {
	out := map[string]any{}
	host := within(body, "HostConfig")
	binds, _ := host["Binds"].([]any)
	for _, b := range binds {
		source, rest, _ := strings.Cut(fmt.Sprint(b), ":")
		target, mode, _ := strings.Cut(rest, ":")
		out[target] = []string{source, mode}
	}
	mounts, _ := host["Mounts"].([]any)
	for _, m := range mounts {
		if m, ok := m.(map[string]any); ok {
			out[fmt.Sprint(m["Target"])] = m
		}
	}
	for target, options := range within(host, "Tmpfs") {
		out[target] = options
	}
	for target, options := range within(body, "Volumes") {
		if _, known := out[target]; !known {
			out[target] = options
		}
	}
	return out
}

// networks tells of networks by their keys in the file.
func (d *differ) networks() {
	by := func(all []steady.Network) map[string]any {
		out := map[string]any{}
		for _, n := range all {
			out[n.Key] = n
		}
		return out
	}
	d.named("network", by(d.was.Spec.Networks), by(d.now.Spec.Networks))
}

// limits tells of memory and processors with their sizes.
func (d *differ) limits(was, now map[string]any) {
	number := func(m map[string]any, key string) float64 {
		n, _ := m[key].(float64)
		return n
	}
	if a, b := number(was, "Memory"), number(now, "Memory"); a != b {
		d.say("limit of memory %s → %s", orNone(a, size(int64(a))), orNone(b, size(int64(b))))
	}
	if a, b := number(was, "NanoCpus"), number(now, "NanoCpus"); a != b {
		d.say("limit of cpus %s → %s", orNone(a, fmt.Sprintf("%g", a/1e9)), orNone(b, fmt.Sprintf("%g", b/1e9)))
	}
}

func orNone(n float64, text string) string {
	if n == 0 {
		return "none"
	}
	return text
}

// containerSilent are keys that are told of in detail, or follow from others.
var containerSilent = map[string]bool{
	"Env": true, "Labels": true, "Image": true, "HostConfig": true, "NetworkingConfig": true,
	"Volumes": true, "Binds": true, "Mounts": true, "Tmpfs": true, "PortBindings": true, "Memory": true, "NanoCpus": true,
	"StopTimeout": true, // stop_grace_period
}

// composeWords are the Compose file's words for the Engine's, where they are not the
// same but for the spelling.
var composeWords = map[string]string{
	"Cmd": "command", "OpenStdin": "stdin_open", "ExposedPorts": "expose", "RestartPolicy": "restart", "LogConfig": "logging",
	"ReadonlyRootfs": "read_only", "IpcMode": "ipc", "PidMode": "pid", "UTSMode": "uts", "UsernsMode": "userns_mode", "CgroupnsMode": "cgroup",
	"MemorySwap": "memswap_limit", "MemoryReservation": "mem_reservation", "CpuQuota": "cpu_quota", "CpusetCpus": "cpuset",
	"DNS": "dns", "Dns": "dns", "DnsOptions": "dns_opt", "OomKillDisable": "oom_kill_disable",
}

// wordOf is the Compose file's word for a key of the Engine's.
func wordOf(key string) string {
	if w, known := composeWords[key]; known {
		return w
	}
	var b strings.Builder
	for i, r := range key {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
