package compose

import (
	"fmt"
	"os"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// locate finds a key in the files and says "file:line", or nothing: the key may
// come from an included or extended file. The last file that has it wins, as in
// Compose.
func locate(files, steps []string) string {
	at := ""
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var doc yaml.Node
		if yaml.Unmarshal(b, &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		if line := lineOf(doc.Content[0], steps); line > 0 {
			at = fmt.Sprintf("%s:%d", file, line)
		}
	}
	return at
}

// prefixed is the place as the beginning of a sentence.
func prefixed(files []string, steps ...string) string {
	if at := locate(files, steps); at != "" {
		return at + ": "
	}
	return ""
}

// lineOf walks down the mappings; 0 when the way ends.
func lineOf(n *yaml.Node, steps []string) int {
	line := 0
	for _, step := range steps {
		value, at := child(n, step)
		if value == nil {
			return 0
		}
		n, line = value, at
	}
	return line
}

func child(n *yaml.Node, key string) (*yaml.Node, int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if i, err := strconv.Atoi(key); n.Kind == yaml.SequenceNode && err == nil && i < len(n.Content) {
		return n.Content[i], n.Content[i].Line
	}
	if n.Kind != yaml.MappingNode {
		return nil, 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1], n.Content[i].Line
		}
	}
	return nil, 0
}
