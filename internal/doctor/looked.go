package doctor

import "fmt"

// looked tells what was there to be looked at, so that nothing found means
// something.
func (f Facts) looked() []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if e := f.Engine; e != nil {
		say("Docker Engine %s, API %s, storage %s in %s, %d containers", e.Version, e.API, e.Driver, e.Root, len(e.Containers))
	}
	if f.Daemon != nil {
		say("steady daemon %s, %d projects", f.Daemon.Version, len(f.Daemon.Projects))
	}
	if p := f.Proxy; p != nil {
		say("steady proxy pid %d, table %d, %d listeners, %d upstreams", p.PID, p.Table, len(p.Listeners), len(p.Upstreams))
	}
	if f.Nginx.Installed {
		say("nginx, %d places it passes requests on to", len(f.Nginx.Passes))
	}
	if f.Survey != nil {
		say("project %s, %d services in its Compose files, %d containers", f.Survey.Project, len(f.Survey.Services), len(f.containers()))
	}
	for _, d := range f.Host.Disks {
		say("%s, %s, %s of %s free", d.Path, d.For, size(d.Free), size(d.Total))
	}
	if m := f.Host.Memory; m.Total > 0 {
		say("memory, %s of %s left", size(m.Available), size(m.Total))
	}
	if f.Host.Firewall != "" {
		say("firewall %s, which drops what is not allowed in", f.Host.Firewall)
	}
	return out
}
