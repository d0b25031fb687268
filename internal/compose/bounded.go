package compose

import (
	"fmt"
	"os"

	"go.yaml.in/yaml/v4"

	"gesalpai.ch/steady"
)

// maxUnfolded is how many nodes a file may have once its aliases are unfolded. The
// largest files that people write have some thousands.
const maxUnfolded = 1_000_000

// bounded refuses files that unfold almost without end: ten anchors that hold each
// other ten times over take Compose's reader minutes and all memory. A file that is
// no YAML is left to Compose, which says so better.
func bounded(files []string) error {
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var doc yaml.Node
		if yaml.Unmarshal(b, &doc) != nil {
			continue
		}
		if unfolded(&doc, map[*yaml.Node]int{}) > maxUnfolded {
			return steady.ErrCompose.With(fmt.Sprintf("%s: its aliases unfold to more than %d nodes", file, maxUnfolded), "write out what is repeated, or leave it out")
		}
	}
	return nil
}

// unfolded counts a node and all below it, aliases as often as they stand there. An
// anchor that holds itself counts once: Compose refuses it.
func unfolded(n *yaml.Node, known map[*yaml.Node]int) int {
	if count, ok := known[n]; ok {
		return count
	}
	known[n] = 1
	count := 1
	if n.Kind == yaml.AliasNode {
		count = unfolded(n.Alias, known)
	}
	for _, c := range n.Content {
		count = min(count+unfolded(c, known), maxUnfolded+1)
	}
	known[n] = count
	return count
}
