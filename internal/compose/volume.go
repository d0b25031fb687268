package compose

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// volumesOf lists the named volumes that the service mounts, each once.
func volumesOf(model *types.Project, s types.ServiceConfig, c calls) []steady.Volume {
	var out []steady.Volume
	seen := map[string]bool{}
	for _, v := range s.Volumes {
		declared, named := model.Volumes[v.Source]
		if v.Type != types.VolumeTypeVolume || !named || seen[v.Source] {
			continue
		}
		seen[v.Source] = true
		out = append(out, steady.Volume{
			Key:      v.Source,
			Name:     declared.Name,
			External: bool(declared.External),
			Create:   c.volumes[declared.Name],
		})
	}
	return out
}

// stateOf lists what the service writes and its successor finds again: two
// replicas side by side would both write there. Named volumes go by their name on
// the Engine, binds by host path. Anonymous volumes and tmpfs die with the
// container.
func stateOf(model *types.Project, s types.ServiceConfig) []string { return stateFrom(model, s, nil) }

// stateFrom is stateOf without the services that were looked at on the way.
func stateFrom(model *types.Project, s types.ServiceConfig, way []string) []string {
	var out []string
	way = append(slices.Clone(way), s.Name)
	add := func(place string) {
		if !slices.Contains(out, place) {
			out = append(out, place)
		}
	}
	for _, v := range s.Volumes {
		switch {
		case v.ReadOnly || v.Source == "":
		case v.Type == types.VolumeTypeVolume:
			name := v.Source
			if declared, ok := model.Volumes[v.Source]; ok {
				name = declared.Name
			}
			add(name)
		case v.Type == types.VolumeTypeBind && !harmless(v.Source):
			add(v.Source)
		}
	}
	for _, b := range borrowedBy(model, s) {
		source, ok := model.Services[b.Service]
		if !ok || b.Kind != steady.ShareVolumes || b.ReadOnly || slices.Contains(way, b.Service) {
			continue
		}
		for _, place := range stateFrom(model, source, way) {
			add(place)
		}
	}
	return out
}

// hostPlaces are directories of the host's own that a service may be given
// without keeping data there.
var hostPlaces = []string{"/dev", "/proc", "/sys", "/run/udev", "/tmp/.X11-unix", "/lib/modules", "/etc/ssl", "/usr/share/zoneinfo"}

// hostFiles are files of the host's own.
var hostFiles = []string{"/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/etc/machine-id"}

// settingsFiles end as files do that are read, and written by people only: most
// Compose files mount them without `:ro`.
var settingsFiles = []string{
	".conf", ".cfg", ".cnf", ".ini", ".toml", ".yaml", ".yml", ".json", ".xml", ".env", ".properties",
	".pem", ".crt", ".cert", ".key", ".sh", ".sql", ".template", ".tmpl", ".tpl", ".html", ".htpasswd",
}

// harmless says whether a read-write bind keeps no data of the service. It goes
// by name alone: the path may not be there yet, or be on another machine.
func harmless(source string) bool {
	clean := filepath.Clean(source)
	if slices.Contains(hostFiles, clean) || strings.HasSuffix(clean, ".sock") {
		return true
	}
	for _, place := range hostPlaces {
		if clean == place || strings.HasPrefix(clean, place+"/") {
			return true
		}
	}
	return slices.Contains(settingsFiles, strings.ToLower(filepath.Ext(clean))) || filepath.Base(clean) == "Caddyfile"
}
