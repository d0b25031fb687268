package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gesalpai.ch/steady"
)

// places knows where each path stands in the files, which compose-go forgets, and
// what stood there before variables were replaced.
type places struct {
	at   map[string]steady.Place
	raw  map[string]string       // scalar at a path, as written
	size map[string]int          // entries of the sequence at a path, over all files
	vars map[string]string       // variable → path of its first mention
	seen map[string]bool         // files read
	used map[*yaml.Node]struct{} // aliases being walked: an anchor may hold itself
	left int                     // nodes that may still be walked
}

// maxNodes bounds the walk: ten anchors that hold each other ten times over are a
// short file and ten thousand million nodes.
const maxNodes = 200_000

// placesOf reads the files and those that they include or extend. A file that
// cannot be read shows nothing.
func placesOf(files []string) *places {
	p := &places{
		at: map[string]steady.Place{}, raw: map[string]string{}, size: map[string]int{}, vars: map[string]string{},
		seen: map[string]bool{}, used: map[*yaml.Node]struct{}{}, left: maxNodes,
	}
	for _, f := range files {
		p.file(f)
	}
	return p
}

// files lists what was read, sorted.
func (p *places) files() []string { return sortedKeys(p.seen) }

func (p *places) file(name string) {
	if p.seen[name] {
		return
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return
	}
	p.seen[name] = true
	var doc yaml.Node
	if yaml.Unmarshal(b, &doc) != nil || len(doc.Content) == 0 {
		return
	}
	top := doc.Content[0]
	for _, other := range others(top) { // first: what this file says wins over them
		if !filepath.IsAbs(other) {
			other = filepath.Join(filepath.Dir(name), other)
		}
		p.file(other)
	}
	(&walker{places: p, name: name}).value("", top)
}

// others are the paths of files that the document includes or extends.
func others(top *yaml.Node) []string {
	var out []string
	if include, _ := child(top, "include"); include != nil {
		for _, entry := range include.Content {
			if path, _ := child(entry, "path"); path != nil {
				entry = path
			}
			out = append(out, scalars(entry)...)
		}
	}
	services, _ := child(top, "services")
	if services == nil || services.Kind != yaml.MappingNode {
		return out
	}
	for i := 1; i < len(services.Content); i += 2 {
		if extends, _ := child(services.Content[i], "extends"); extends != nil {
			if file, _ := child(extends, "file"); file != nil {
				out = append(out, scalars(file)...)
			}
		}
	}
	return out
}

func scalars(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var out []string
	for _, c := range n.Content {
		if c.Kind == yaml.ScalarNode {
			out = append(out, c.Value)
		}
	}
	return out
}

// walker walks one file. Sequences of several files are joined, as Compose does.
type walker struct {
	*places
	name string
}

func (w *walker) value(path string, n *yaml.Node) {
	if w.left--; w.left < 0 {
		return
	}
	switch n.Kind {
	case yaml.AliasNode:
		if _, within := w.used[n.Alias]; within {
			return
		}
		w.used[n.Alias] = struct{}{}
		w.value(path, n.Alias)
		delete(w.used, n.Alias)
	case yaml.MappingNode:
		w.mapping(path, n)
	case yaml.SequenceNode:
		w.sequence(path, n)
	case yaml.ScalarNode:
		w.raw[path] = n.Value
		for _, name := range variablesIn(n.Value) {
			if _, ok := w.vars[name]; !ok {
				w.vars[name] = path
			}
		}
	}
}

// mapping walks what is merged in first: keys of the mapping's own win.
func (w *walker) mapping(path string, n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			continue
		}
		merged := n.Content[i+1]
		if merged.Kind == yaml.SequenceNode {
			for _, m := range slices.Backward(merged.Content) {
				w.value(path, m)
			}
			continue
		}
		w.value(path, merged)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Value != "<<" {
			at := join(path, key.Value)
			w.stands(at, key)
			w.value(at, n.Content[i+1])
		}
	}
}

func (w *walker) sequence(path string, n *yaml.Node) {
	first := w.size[path]
	if n.Tag == "!override" || n.Tag == "!reset" {
		first = 0
	}
	w.size[path] = first + len(n.Content)
	named := listOfPairs(path)
	for i, entry := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, first+i)
		w.stands(at, entry)
		w.value(at, entry)
		if name, value, _ := strings.Cut(entry.Value, "="); named && entry.Kind == yaml.ScalarNode {
			w.stands(join(path, name), entry)
			w.raw[join(path, name)] = value
		}
	}
}

func (w *walker) stands(path string, n *yaml.Node) {
	w.at[path] = steady.Place{File: w.name, Line: n.Line, Column: n.Column}
}

// listOfPairs: Compose takes a list "NAME=value" for a mapping there.
func listOfPairs(path string) bool {
	last := path[strings.LastIndexByte(path, '.')+1:]
	return slices.Contains([]string{"environment", "args", "labels", "depends_on"}, last)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// variable is what Compose replaces: $NAME, ${NAME}, ${NAME:-…}; $$ is a dollar.
var variable = regexp.MustCompile(`\$\$|\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

func variablesIn(text string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if m[1] != "" {
			out = append(out, m[1])
		}
	}
	return out
}
