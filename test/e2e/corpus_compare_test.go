package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

// made is a container as docker inspect tells it, flattened: "HostConfig.Memory" to its
// value as JSON. What differs from run to run, such as ids and times, is left out.
type made map[string]string

// inspected is the part of docker inspect that a Compose file decides about.
type inspected struct {
	ID, Name        string
	Config          map[string]any
	HostConfig      map[string]any
	Mounts          []map[string]any
	NetworkSettings struct {
		Networks map[string]struct {
			IPAMConfig map[string]any
			Links      []string
			Aliases    []string
			DriverOpts map[string]any
		}
	}
}

// inspect takes the project's containers, by service and number; holders are not
// among them.
func (s *stacked) inspect() map[string]made {
	s.t.Helper()
	ids := s.ids()
	b, err := exec.Command("docker", append([]string{"inspect"}, ids...)...).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	var all []inspected
	if err := json.Unmarshal(b, &all); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]made{}
	for _, c := range all {
		labels, _ := c.Config["Labels"].(map[string]any)
		if labels[steady.LabelHolder] != nil {
			continue
		}
		m := made{"Name": strings.TrimPrefix(c.Name, "/")}
		if name, _ := c.Config["Hostname"].(string); name != "" && strings.HasPrefix(c.ID, name) {
			delete(c.Config, "Hostname") // the Engine's
		}
		if on, _ := labels["com.docker.compose.depends_on"].(string); on != "" { // in any order
			parts := strings.Split(on, ",")
			slices.Sort(parts)
			labels["com.docker.compose.depends_on"] = strings.Join(parts, ",")
		}
		flatten(m, "Config", c.Config)
		flatten(m, "HostConfig", c.HostConfig)
		for _, mount := range c.Mounts {
			if mount["Type"] == "volume" && hexID.MatchString(fmt.Sprint(mount["Name"])) {
				mount["Name"] = "anonymous"
			}
			delete(mount, "Source")
			flatten(m, fmt.Sprint("Mounts ", mount["Destination"]), mount)
		}
		for name, n := range c.NetworkSettings.Networks {
			n.Aliases = slices.DeleteFunc(n.Aliases, func(a string) bool { return strings.HasPrefix(c.ID, a) })
			at := "Networks " + name
			m[at] = "there"
			flatten(m, at+".IPAMConfig", n.IPAMConfig)
			flatten(m, at+".DriverOpts", n.DriverOpts)
			m.list(at+".Aliases", n.Aliases)
			toHolder := func(link string) bool { return strings.Contains(link, "-steady:") }
			m.list(at+".Links", slices.DeleteFunc(slices.Clone(n.Links), toHolder))
			m.list(at+".HolderLinks", slices.DeleteFunc(n.Links, func(l string) bool { return !toHolder(l) }))
		}
		out[fmt.Sprintf("%v %v", labels["com.docker.compose.service"], labels["com.docker.compose.container-number"])] = m
	}
	return out
}

var hexID = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (m made) list(at string, values []string) {
	slices.Sort(values)
	if len(values) > 0 {
		m[at] = strings.Join(slices.Compact(values), " ")
	}
}

// flatten puts what is in v under its path. Empty values are as good as none.
func flatten(m made, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			sep := "."
			if strings.ContainsAny(key, "./") {
				sep = " "
			}
			flatten(m, at+sep+key, value)
		}
	case []any:
		var all []string
		for _, entry := range v {
			b, _ := json.Marshal(entry)
			all = append(all, string(b))
		}
		if !ordered.MatchString(at) {
			slices.Sort(all)
		}
		if len(all) > 0 {
			m[at] = strings.Join(all, " ")
		}
	default:
		b, _ := json.Marshal(v)
		if text := string(b); text != "null" && text != `""` && text != "false" && text != "0" {
			m[at] = text
		}
	}
}

// ordered lists say something by their order.
var ordered = regexp.MustCompile(`\.(?:Cmd|Entrypoint|Test|Dns|DnsSearch)$`)

// difference is one field that two makers of a container fill in differently.
type difference struct {
	container, field string
	want, got        string
}

// differing compares containers that both sides have.
func differing(want, got map[string]made) []difference {
	var out []difference
	for _, name := range slices.Sorted(maps.Keys(got)) {
		fields := maps.Clone(want[name])
		maps.Copy(fields, got[name])
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if a, b := want[name][field], got[name][field]; a != b && want[name] != nil {
				out = append(out, difference{name, field, a, b})
			}
		}
	}
	return out
}

// same fails the test where steady makes other containers than Compose, or makes them
// otherwise than is documented.
func (s *stacked) same(when string, compose, ours map[string]made) {
	s.t.Helper()
	if a, b := slices.Sorted(maps.Keys(compose)), slices.Sorted(maps.Keys(ours)); !slices.Equal(a, b) {
		s.t.Errorf("%s deploy: docker compose makes %v, steady %v", when, a, b)
	}
	for _, d := range differing(compose, ours) {
		if !documented(s.t, d.field) {
			s.t.Errorf("%s deploy, %s: %s\n  compose  %s\n  steady   %s", when, d.container, d.field, d.want, d.got)
		}
	}
}

// allowed are the differences that docs/compose.md documents: what differs in a container,
// and the words by which the page names it.
var allowed = []struct {
	field *regexp.Regexp
	words string
}{
	{regexp.MustCompile(`^Name$`), "| its name |"},
	{regexp.MustCompile(`^Config\.Labels (?:ch\.gesalpai\.steady\.\w+|com\.docker\.compose\.replace)$`), "| labels |"},
	{regexp.MustCompile(`^HostConfig\.PortBindings `), "| published ports |"},
	{regexp.MustCompile(`^Networks .*\.Aliases$`), "| names in its networks |"},
	{regexp.MustCompile(`^Networks .*\.HolderLinks$`), "| links |"},
	{regexp.MustCompile(`^Networks .*\.IPAMConfig\.IPv[46]Address$`), "| a fixed address |"},
}

func documented(t testing.TB, key string) bool {
	t.Helper()
	for _, d := range allowed {
		if d.field.MatchString(key) {
			page, err := os.ReadFile(filepath.Join(repo, "docs", "compose.md"))
			return err == nil && strings.Contains(string(page), d.words)
		}
	}
	return false
}
