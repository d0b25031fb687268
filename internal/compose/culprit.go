package compose

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// culprit is what in the files an error is about.
type culprit struct {
	place string   // "file:line"; empty: the files do not show it
	unset []string // variables there that nobody sets
}

func (c culprit) file() string { return c.place[:max(strings.LastIndexByte(c.place, ':'), 0)] }

var (
	// attribute is a path such as services.web.ports in Compose's words.
	attribute = regexp.MustCompile(`\b(?:services|networks|volumes|configs|secrets)(?:\.[\w-]+)+`)
	// service is quoted: service "web" refers to undefined network gone. A cycle begins
	// with one of its services.
	service = regexp.MustCompile(`\bservice "([\w.-]+)"|dependency cycle detected: ([\w.-]+)`)
	// yamlLines is go-yaml's notation of a range: L2.C3-L4.C4.
	yamlLines = regexp.MustCompile(`\bL(\d+)\.C\d+`)
	plainLine = regexp.MustCompile(`\bline (\d+)`)
)

// culpritOf finds what Compose's words are about; it does not say so itself in most
// cases.
func culpritOf(files []string, env types.Mapping, words string) culprit {
	if file := unparsed(files, words); file != "" {
		lines := append(yamlLines.FindAllStringSubmatch(words, -1), plainLine.FindAllStringSubmatch(words, -1)...)
		if len(lines) == 0 {
			return culprit{}
		}
		return culprit{place: file + ":" + lines[len(lines)-1][1]}
	}
	at := placesOf(files)
	path := attribute.FindString(words)
	if path == "" {
		path = at.quoted(words, env)
	}
	if path == "" {
		if m := service.FindStringSubmatch(words); m != nil {
			path = "services." + cmp.Or(m[1], m[2])
		}
	}
	return culprit{place: at.nearest(path), unset: at.unset(path, env)}
}

// nearest is where the path stands, or what is above it: a name may be missing at its
// end, or a list stand there.
func (p *places) nearest(path string) string {
	for path != "" {
		if at, stands := p.at[path]; stands && strings.Contains(path, ".") {
			return fmt.Sprintf("%s:%d", at.File, at.Line)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return ""
}

// leastQuoted is how long a value must be to be recognised in a sentence.
const leastQuoted = 2

// quoted finds the value of the files that the words quote, with its variables
// replaced: of several the longest.
func (p *places) quoted(words string, env types.Mapping) string {
	last := words[strings.LastIndex(words, ": ")+1:]
	best, length := "", 0
	for _, path := range sortedKeys(p.raw) {
		value := filled(p.raw[path], env)
		switch {
		case len(value) < leastQuoted || len(value) <= length || !strings.Contains(path, "."):
		case strings.Contains(words, value):
			best, length = path, len(value)
		case length == 0 && topic(words, path) && strings.Contains(value, strings.Trim(last, ` "`)):
			best = path
		}
	}
	return best
}

// topic says whether words are about ports, and the path is one.
func topic(words, path string) bool {
	return strings.Contains(strings.ToLower(words), "port") && strings.Contains(path, ".ports[")
}

// filled is a value with its variables replaced; as it stands where that fails.
func filled(raw string, env types.Mapping) string {
	out, err := template.SubstituteWithOptions(raw, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, template.WithoutLogging)
	if err != nil {
		return raw
	}
	return out
}

// withFallback is a variable with a value for when it is not set, or an error.
var withFallback = regexp.MustCompile(`\$\{([A-Za-z_]\w*):?[-?+]`)

// unset are the variables at a path, or below it, that nobody sets and that have no
// fallback. Without an environment nothing is known of them.
func (p *places) unset(path string, env types.Mapping) []string {
	if path == "" || env == nil || strings.Count(path, ".") < 2 {
		return nil
	}
	var out []string
	for at, raw := range p.raw {
		if at != path && !strings.HasPrefix(at, path+".") && !strings.HasPrefix(at, path+"[") {
			continue
		}
		has := withFallback.FindAllString(raw, -1)
		for _, name := range variablesIn(raw) {
			with := slices.ContainsFunc(has, func(f string) bool { return strings.HasPrefix(f, "${"+name) })
			if _, set := env[name]; !set && !with {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mention is where a file is named, under a key.
func (p *places) mention(file, key string) string {
	for _, path := range sortedKeys(p.raw) {
		raw := p.raw[path]
		if strings.Contains(path, "."+key) && raw != "" && (raw == file || strings.HasSuffix(file, "/"+filepath.Clean(raw))) {
			return p.nearest(path)
		}
	}
	return ""
}
