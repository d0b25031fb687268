package compose_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"gesalpai.ch/steady"
)

const hashLabel = "com.docker.compose.config-hash"

// shares says whether the container refers to another one.
func shares(h *container.HostConfig) bool {
	return len(h.VolumesFrom) > 0 || h.NetworkMode.IsContainer() || h.PidMode.IsContainer() || h.IpcMode.IsContainer()
}

// What the Engine adds or changes by itself: fields that may differ where the
// call leaves them empty.
var (
	engineConfig = []string{"Hostname", "Cmd", "Env", "OnBuild", "Volumes"}
	engineHost   = []string{"CgroupnsMode", "IpcMode", "Isolation", "LogConfig", "MaskedPaths", "MemorySwap",
		"ReadonlyPaths", "Runtime", "ShmSize", "ConsoleSize", "PidsLimit", "MemorySwappiness", "RestartPolicy", "SecurityOpt"}
)

// differ compares field by field; those in filled may be anything where the
// captured call is silent.
func differ(t *testing.T, what string, want, got map[string]any, filled []string) {
	t.Helper()
	for key := range got {
		if _, said := want[key]; !said && !slices.Contains(filled, key) {
			t.Errorf("%s.%s is %v, and is not in the captured call", what, key, got[key])
		}
	}
	for key := range want {
		if diff := cmp.Diff(want[key], got[key]); diff != "" {
			t.Errorf("%s.%s (-captured +made):\n%s", what, key, diff)
		}
	}
}

// fields are the JSON fields of a struct that are not empty.
func fields(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for key, value := range m {
		if empty(value) {
			delete(m, key)
		}
	}
	return m
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !empty(e) })
	case map[string]any:
		for _, e := range v {
			if !empty(e) {
				return false
			}
		}
		return len(v) == 0 || !isSet(v)
	}
	return false
}

// isSet tells {"80/tcp": {}} from a struct whose fields are all empty.
func isSet(m map[string]any) bool {
	for key := range m {
		if strings.Contains(key, "/") {
			return true
		}
	}
	return false
}

// sortMade brings what Compose sends in random order into the captured one.
func sortMade(c *container.Config, h *container.HostConfig) {
	byTarget := func(a, b string) int { return strings.Compare(a[strings.Index(a, ":"):], b[strings.Index(b, ":"):]) }
	slices.Sort(c.Env)
	slices.SortFunc(h.Binds, byTarget)
	slices.Sort(h.ExtraHosts)
	slices.SortFunc(h.Ulimits, func(a, b *container.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(h.Mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	const label = "com.docker.compose.depends_on"
	deps := strings.Split(c.Labels[label], ",")
	slices.Sort(deps)
	c.Labels[label] = strings.Join(deps, ",")
}

func hashOf(t *testing.T, s steady.Spec) string {
	t.Helper()
	var c container.CreateRequest
	if err := json.Unmarshal(s.Container, &c); err != nil {
		t.Fatal(err)
	}
	return c.Labels[hashLabel]
}
