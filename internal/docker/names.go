package docker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// namesOf are the names by which others in a network find the service: those of the
// spec, and where the file gives no container_name those of the containers that
// Compose would make, PROJECT-SERVICE-1 and on. Compose's links and external_links
// name those containers, and the Engine resolves a link's alias to any name that the
// network knows.
func namesOf(spec steady.Spec, n steady.Network) []string {
	names := slices.Clone(n.Aliases)
	if spec.ContainerName != "" {
		return names
	}
	for i := range max(spec.Replicas, 1) {
		if name := composeName(spec, i+1); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// composeName is the name that Compose would give the service's n-th container.
func composeName(spec steady.Spec, n int) string {
	return fmt.Sprintf("%s-%s-%d", spec.Project, spec.Service, n)
}

// formerName says whether a name may stay with a holder that does not need it: it is the
// name of a container that the service had when it had more replicas. To give a name
// up the holder would have to leave its network for a moment.
func formerName(spec steady.Spec, name string) bool {
	number, ours := strings.CutPrefix(name, spec.Project+"-"+spec.Service+"-")
	n, err := strconv.Atoi(number)
	return ours && err == nil && n > 0 && spec.ContainerName == "" && composeName(spec, n) == name
}
