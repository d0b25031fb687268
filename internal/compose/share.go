package compose

import (
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// borrowedBy lists what a service has from other containers, as the files say it. Each
// entry has a service of the project, or else the name of a container of others.
func borrowedBy(model *types.Project, s types.ServiceConfig) []steady.Borrowed {
	var out []steady.Borrowed
	add := func(key, kind, from string, plain bool) {
		name, mode, _ := strings.Cut(from, ":")
		sh := steady.Shared{Kind: kind, Service: name, Number: 1}
		switch {
		case name == "container":
			name, mode, _ = strings.Cut(mode, ":")
			sh.Container, sh.Service = name, named(model, name)
		case name == "service":
			sh.Service = mode
		case !plain: // a mode, such as host
			return
		}
		sh.ReadOnly = plain && mode == "ro"
		out = append(out, steady.Borrowed{Key: key, Shared: sh})
	}
	add("network_mode", steady.ShareNetwork, s.NetworkMode, false)
	add("ipc", steady.ShareIPC, s.Ipc, false)
	add("pid", steady.SharePID, s.Pid, false)
	for _, from := range s.VolumesFrom {
		add("volumes_from", steady.ShareVolumes, from, true)
	}
	return out
}

// sharedByName are the services of the project with whose containers one shares by the
// containers' names, sorted.
func sharedByName(model *types.Project, s types.ServiceConfig) []string {
	var out []string
	for _, b := range borrowedBy(model, s) {
		if b.Container != "" && b.Service != "" && b.Service != s.Name && !slices.Contains(out, b.Service) {
			out = append(out, b.Service)
		}
	}
	slices.Sort(out)
	return out
}

// named is the service to one of whose containers Compose gives a name, empty for none.
func named(model *types.Project, container string) string {
	for name, s := range model.Services {
		number, ok := strings.CutPrefix(container, model.Name+"-"+name+"-")
		if n, err := strconv.Atoi(number); s.ContainerName == container || ok && err == nil && n > 0 {
			return name
		}
	}
	return ""
}
