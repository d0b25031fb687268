package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// stateRules are about what must outlive a release.
func stateRules() []Rule {
	return []Rule{
		{
			ID: "state-without-volume", Severity: steady.Failure,
			Title: "a database without a volume",
			Why:   "What it holds lives in the container and is gone with the next release, or in an anonymous volume that its image declares: steady carries that one over, but docker compose down and up lose it, and nobody finds it by name.",
			Mend:  "mount a named volume where it keeps its data",
			each:  stateWithoutVolume,
		},
		{
			ID: "cache-without-volume", Severity: steady.Notice, many: "caches keep what they hold in no volume with a name",
			Title: "Redis or its like without a volume",
			Why:   "Images that declare a volume keep sessions, queues and whatever else they hold in an anonymous one: steady carries it over, so old and new cannot run side by side, and docker compose down and up lose it. Other images lose it with each release.",
			Mend:  "mount a named volume at /data; for a pure cache set x-steady.ephemeral_volumes: true",
			each: func(_ Input, d steady.Declared) []hit {
				return one(isCache(d) && len(d.Mounts) == 0, d.Path("image"), d.Service+" keeps what it holds in no volume with a name")
			},
		},
		{
			ID: "data-elsewhere", Severity: steady.Failure,
			Title: "a database whose volume is mounted where it does not keep its data",
			Why:   "The volume stays empty, and the data lies in a volume without a name, which docker compose down and up lose and nobody finds; or the database does not start. Where an image keeps its data may change with its major version: PostgreSQL's does with 18.",
			Mend:  "mount the volume where this version keeps its data",
			each:  dataElsewhere,
		},
		{
			ID: "two-on-one-volume", Severity: steady.Failure,
			Title: "two databases on one directory",
			Why:   "With start-first or with several replicas two of them run on the same files. Most refuse to start; some break the data.",
			Mend:  "deploy.update_config.order: stop-first and one replica",
			each: func(in Input, d steady.Declared) []hit {
				twice := d.Update.Order == steady.StartFirst || d.Replicas > 1
				return one(database(d) != "" && len(d.State) > 0 && twice, d.Path(), fmt.Sprintf("%s would run twice on %s", d.Service, places(in, d)))
			},
		},
		{
			ID: "shared-state", Severity: steady.Warning,
			Title: "a read-write volume with start-first or several replicas",
			Why:   "Old and new, or all replicas, write to the same files at the same time. steady lets the old one go first by itself where one replica has such a volume; here the file overrules it.",
			Mend:  "mount it read-only (:ro), or take order: start-first out, unless the service can share its files",
			each: func(in Input, d steady.Declared) []hit {
				twice := d.Update.Order == steady.StartFirst || d.Replicas > 1
				return one(database(d) == "" && len(d.State) > 0 && twice && !d.Job, d.Path("volumes"), fmt.Sprintf("two of %s may write to %s at once", d.Service, places(in, d)))
			},
		},
		{
			ID: "state-has-gap", Severity: steady.Notice, many: "published services write to their mounts and are replaced old first, while what comes to them waits",
			Title: "a published service that writes to a volume",
			Why:   "Two of it could not share the files, so the old one goes before the new one starts. Requests and new connections wait at the proxy meanwhile, each for at most x-steady.hold.for (20s), then 503; open streams end.",
			Mend:  "x-steady.strategy: start-first where it can share its files; :ro where it only reads them",
			each: func(in Input, d steady.Declared) []hit {
				return one(len(d.Published) > 0 && database(d) == "" && len(d.State) > 0 && d.Replicas <= 1 && d.Update.Order == "", d.Path("volumes"), fmt.Sprintf("%s writes to %s and is replaced old first, while what comes to it waits", d.Service, places(in, d)))
			},
		},
		{
			ID: "anonymous-volume", Severity: steady.Warning,
			Title: "a volume without a name",
			Why:   "steady carries it over from release to release, so the old replica goes before the new one starts. But nobody finds it by name, and docker compose down and up lose it.",
			Mend:  "name it: data:/path, and declare data under volumes; for a cache set x-steady.ephemeral_volumes: true",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, m := range d.Mounts {
					out = append(out, one(m.Type == "volume" && m.Source == "" && !codeDir(m.Target), m.Path, fmt.Sprintf("%s mounts a volume without a name at %s", d.Service, m.Target))...)
				}
				return out
			},
		},
		{
			ID: "source-mounted", Severity: steady.Warning,
			Title: "the project's own directory mounted into a service",
			Why:   "The code is not in the image: a release changes when a file changes, and a rollback brings the old image back with the new code.",
			Mend:  "copy it in the Dockerfile; keep the mount in a compose.override.yaml for development",
			each:  sourceMounted,
		},
	}
}

// codeDir: node_modules and its like are masked by a nameless volume on purpose.
func codeDir(target string) bool {
	return slices.Contains([]string{"node_modules", ".next", "vendor", "__pycache__", "target", ".venv"}, path.Base(target))
}

func stateWithoutVolume(_ Input, d steady.Declared) []hit {
	kind := database(d)
	if kind == "" || d.Job {
		return nil
	}
	for _, m := range d.Mounts {
		if m.Source == "" && m.Type != "tmpfs" { // nameless: as good as none
			continue
		}
		for _, at := range append(steady.DatabaseDirs(d.Image), d.DataDir) {
			if at == "" {
				continue
			}
			if within(m.Target, at) || within(at, m.Target) {
				return nil
			}
		}
	}
	// A place elsewhere, of a service told to keep its data there.
	if slices.ContainsFunc(d.Mounts, func(m steady.Mount) bool { return slices.Contains(d.State, m.Source) && !settingsDir(m.Target) }) {
		return nil
	}
	return []hit{{path: d.Path("image"), text: fmt.Sprintf("%s keeps its data in no volume with a name", d.Service), mend: volumeFor(d)}}
}

// volumeFor says where a database's volume belongs. Where that depends on a major
// version that the tag does not name, both are said: the wrong one loses the data.
func volumeFor(d steady.Declared) string {
	name := d.Service + "-data"
	moved := slices.Contains(steady.DatabaseDirs(d.Image), "/var/lib/postgresql") && steady.PostgresMajor(d.Image) == 0
	switch {
	case d.DataDir != "":
		return fmt.Sprintf("volumes: [%s:%s]", name, d.DataDir)
	case moved:
		return fmt.Sprintf("name the major version in the tag, then volumes: [%s:/var/lib/postgresql/data] up to PostgreSQL 17, [%s:/var/lib/postgresql] from 18 on", name, name)
	}
	return fmt.Sprintf("volumes: [%s:%s]", name, steady.DatabaseDirs(d.Image)[0])
}

// ofOtherVersions are where another major version of an image keeps its data.
var ofOtherVersions = []string{"/var/lib/postgresql/data", "/var/lib/influxdb", "/var/lib/influxdb2"}

// dataElsewhere finds a mount above the volume that the image declares itself, and
// one where another major version has its data.
func dataElsewhere(_ Input, d steady.Declared) []hit {
	own := steady.DatabaseVolume(d.Image)
	if d.Builds || d.Job || own == "" || d.DataDir != "" {
		return nil
	}
	if slices.ContainsFunc(d.Mounts, func(m steady.Mount) bool { return within(own, m.Target) && within(m.Target, own) }) {
		return nil
	}
	for _, m := range d.Mounts {
		text := fmt.Sprintf("%s keeps its data in %s, and not in what %s mounts at %s", d.Image, own, d.Service, m.Target)
		switch {
		case slices.Contains(ofOtherVersions, m.Target):
			return []hit{{path: m.Path, text: text, mend: "for a new database mount it at " + own + "; one that an older version made needs that version's image, or a dump there and a restore here"}}
		case within(own, m.Target) && m.Source != "" && m.Type != "tmpfs":
			return []hit{{path: m.Path, text: text, mend: "dump the database first, as its data is in a volume without a name; then mount at " + own + " and restore"}}
		}
	}
	return nil
}

// settingsDir: what is mounted there is read at the start.
func settingsDir(target string) bool {
	return within(target, "/etc") || within(target, "/docker-entrypoint-initdb.d")
}

// places lists what a service writes to, for a person.
func places(in Input, d steady.Declared) string {
	out := make([]string, len(d.State))
	for i, p := range d.State {
		out[i] = p
		if rest, below := strings.CutPrefix(p, in.WorkingDir); below && (rest == "" || rest[0] == '/') {
			out[i] = "." + rest
		}
	}
	return strings.Join(out, ", ")
}

func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, strings.TrimSuffix(parent, "/")+"/")
}

func sourceMounted(in Input, d steady.Declared) []hit {
	var out []hit
	for _, m := range d.Mounts {
		source := m.Type == "bind" && m.Source == in.WorkingDir && d.Builds
		out = append(out, one(source, m.Path, fmt.Sprintf("%s runs the code in %s, not what is in its image", d.Service, m.Target))...)
	}
	return out
}
