package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// deedOf tells what a request asks for.
func deedOf(r *http.Request, body []byte) steady.Deed {
	d := steady.Deed{Time: time.Now().UTC(), Origin: originOf(r)}
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/v1"), "/"), "/")
	switch {
	case parts[0] == "rollouts" && len(parts) == 1:
		d.Command = "deploy"
	case parts[0] == "projects" && len(parts) > 2:
		d.Project, d.Command = parts[1], commandOf(strings.Join(parts[2:], " "))
	case parts[0] == "nginx" && len(parts) > 3:
		d.Command, d.Asked = "nginx "+parts[3], []string{"site=" + parts[2]}
	case parts[0] == "nginx":
		d.Command = "nginx install"
	default:
		d.Command = strings.ToLower(r.Method) + " " + strings.Join(parts, " ")
	}
	var asked map[string]json.RawMessage
	if json.Unmarshal(body, &asked) != nil { // refused in a moment
		return d
	}
	if d.Command == "maintenance" {
		d.Command = "maintenance off"
		if m := asked["maintenance"]; m != nil && string(m) != "null" {
			d.Command = "maintenance on"
		}
	}
	ask(&d, asked)
	return d
}

// commandOf is the command of a call of a project, as a person types it.
func commandOf(call string) string {
	switch call {
	case "lock":
		return "lock acquire"
	case "unlock":
		return "lock release"
	}
	return call
}

// told are the texts of a request that may stand in the audit log. Every other is
// left out, whatever it be: it may hold what nobody must read there.
var told = []string{"name", "domains", "service", "conf_dir", "message"}

// maxTold bounds each of them, in bytes.
const maxTold = 500

// ask notes what of a request's body may be told: services by name, switches,
// numbers, and the texts in told.
func ask(d *steady.Deed, body map[string]json.RawMessage) {
	for _, key := range slices.Sorted(maps.Keys(body)) {
		raw := body[key]
		var yes bool
		var n json.Number
		var within map[string]json.RawMessage
		switch {
		case key == "services":
			_ = json.Unmarshal(raw, &d.Services)
		case key == "service" && d.Command == "drill":
			d.Services = []string{strings.Trim(string(raw), `"`)}
		case key == "specs":
			specs(d, raw)
		case key == "replicas":
			_ = json.Unmarshal(raw, &within)
			for _, service := range slices.Sorted(maps.Keys(within)) {
				d.Services = append(d.Services, service)
				d.Asked = append(d.Asked, service+"="+string(within[service]))
			}
		case slices.Contains(told, key):
			text := strings.Trim(string(raw), `"`)
			d.Asked = append(d.Asked, key+"="+text[:min(len(text), maxTold)])
		case json.Unmarshal(raw, &yes) == nil:
			if yes {
				d.Asked = append(d.Asked, key)
			}
		case string(raw) == "0", string(raw) == "null": // nothing was asked
		case json.Unmarshal(raw, &n) == nil && !strings.HasPrefix(string(raw), `"`):
			d.Asked = append(d.Asked, key+"="+span(key, n))
		case (key == "options" || key == "site") && json.Unmarshal(raw, &within) == nil:
			ask(d, within)
		}
	}
}

// specs takes the project's name of a deploy's specs, and nothing else of them.
func specs(d *steady.Deed, raw json.RawMessage) {
	var all []struct{ Project string }
	if json.Unmarshal(raw, &all) == nil && len(all) > 0 {
		d.Project = all[0].Project
	}
}

// span writes a number, and a duration as one.
func span(key string, n json.Number) string {
	if v, err := n.Int64(); err == nil && (key == "wait_lock" || key == "for") {
		return fmt.Sprint(time.Duration(v).Round(time.Second))
	}
	return n.String()
}
