package compose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

var (
	// fallback is the text for a variable that is not set: ${X:-text}, ${X-text}.
	fallback = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*:?-([^}$]+)\}`)
	// credentials is an address with a password: scheme://user:password@host.
	credentials = regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s/:@]*:([^\s/@]+)@`)
)

// variables tells how each value is given. The values stay here.
func (p *places) variables(path string, m types.MappingWithEquals) []steady.Variable {
	var out []steady.Variable
	for _, name := range sortedKeys(m) {
		at := path + "." + name
		raw, stands := p.raw[at]
		v := steady.Variable{Name: name, Path: at}
		if stands && raw != "" {
			v.Literal = len(variablesIn(raw)) == 0 && !noSecret(raw)
			if m := fallback.FindStringSubmatch(raw); m != nil && m[0] == raw {
				v.Fallback = !noSecret(m[1])
			}
			v.Credentials = literalPassword(raw)
		}
		out = append(out, v)
	}
	return out
}

// noSecret says whether a value is a switch, a path or a blank to be filled in, which is
// no secret under whatever name.
func noSecret(value string) bool {
	return switches.MatchString(value) || aPath.MatchString(value) || blanks.MatchString(value)
}

var (
	switches = regexp.MustCompile(`(?i)^(?:true|false|yes|no|on|off|0|1|none|null|invalid|enabled|disabled|required|optional)$`)
	blanks   = regexp.MustCompile(`(?i)^(?:your[-_ ].*|user_provided|<.*>|x{3,}|\.{3}|placeholder)$`)
	aPath    = regexp.MustCompile(`^(?:\.{0,2}/|file:/)[\w./-]*$`)
)

func literalPassword(raw string) bool {
	m := credentials.FindStringSubmatch(raw)
	return m != nil && len(variablesIn(m[1])) == 0 && !strings.ContainsAny(m[1], "<>{}")
}

// published finds the entry that each port comes from: an entry may stand for a
// range of them.
func (p *places) published(s types.ServiceConfig, ports []steady.Port) []steady.DeclaredPort {
	path := "services." + s.Name + ".ports"
	var out []steady.DeclaredPort
	for _, port := range ports {
		at := path
		for i := range p.size[path] {
			entry := fmt.Sprintf("%s[%d]", path, i)
			if p.entryHas(entry, port) {
				at = entry
			}
		}
		out = append(out, steady.DeclaredPort{Port: port, Path: at})
	}
	return out
}

func (p *places) entryHas(entry string, port steady.Port) bool {
	raw, short := p.raw[entry]
	if !short {
		target, published := p.raw[entry+".target"], p.raw[entry+".published"]
		return hasPort(target, port.Target) && (published == "" || hasPort(published, port.Published))
	}
	raw, transport, _ := strings.Cut(unvaried(raw), "/")
	if (transport == "udp") != (port.Transport == "udp") {
		return false
	}
	parts := strings.Split(raw, ":")
	if !hasPort(parts[len(parts)-1], port.Target) {
		return false
	}
	return len(parts) == 1 || hasPort(parts[len(parts)-2], port.Published)
}

// unvaried puts a star for each variable: its own colons would be in the way.
func unvaried(raw string) string { return braced.ReplaceAllString(raw, "*") }

var braced = regexp.MustCompile(`\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*`)

// hasPort: "80", "8000-8009" or a variable has the port.
func hasPort(text string, port uint16) bool {
	if strings.ContainsAny(text, "*$") {
		return true
	}
	first, last, ranged := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return false
	}
	to := from
	if ranged {
		if to, err = strconv.ParseUint(last, 10, 16); err != nil {
			return false
		}
	}
	return from <= uint64(port) && uint64(port) <= to
}

// mounts finds the entry of each volume by its target, which is there once.
func (p *places) mounts(model *types.Project, s types.ServiceConfig) []steady.Mount {
	path := "services." + s.Name + ".volumes"
	var out []steady.Mount
	for _, v := range s.Volumes {
		m := steady.Mount{Path: path, Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
		if declared, ok := model.Volumes[v.Source]; ok && v.Type == types.VolumeTypeVolume {
			m.Source = declared.Name
		}
		for i := range p.size[path] {
			entry := fmt.Sprintf("%s[%d]", path, i)
			if targets(p.raw[entry], v.Target) || p.raw[entry+".target"] == v.Target {
				m.Path = entry
			}
		}
		out = append(out, m)
	}
	for i, target := range s.Tmpfs {
		target, _, _ := strings.Cut(target, ":")
		out = append(out, steady.Mount{Path: fmt.Sprintf("services.%s.tmpfs[%d]", s.Name, i), Type: types.VolumeTypeTmpfs, Target: target})
	}
	return out
}

// targets says whether a short entry, "source:target:mode", mounts to target.
func targets(entry, target string) bool {
	for _, part := range strings.Split(unvaried(entry), ":") {
		if strings.TrimSuffix(part, "/") == strings.TrimSuffix(target, "/") {
			return true
		}
	}
	return false
}
