package doctor_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/doctor"
)

func TestMain(m *testing.M) {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write docs/doctor.md anew")
	}
	goleak.VerifyTestMain(m)
}

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// well is a host on which nothing is wrong: the service web of the project shop
// runs, the proxy serves it, nginx stands before it.
func well() doctor.Facts {
	return doctor.Facts{
		Project: "shop", Now: now, Version: "v1",
		Engine: &steady.Examined{Version: "28.5.2", Root: "/var/lib/docker", Containers: []steady.ExaminedContainer{container(nil)}},
		Survey: &steady.Survey{Project: "shop", Services: []steady.Declared{{
			Spec:      steady.Spec{Project: "shop", Service: "web"},
			Published: []steady.DeclaredPort{{Port: steady.Port{Published: 8000, Target: 80, Transport: "tcp"}, Path: "services.web.ports[0]"}},
		}}, Places: map[string]steady.Place{"services.web.ports[0]": {File: "/x/compose.yaml", Line: 4, Column: 9}}},
		Daemon: &doctor.Daemon{Version: "v1", Projects: []string{"shop"}},
		Proxy: &doctor.Proxy{PID: 7, Listeners: []doctor.ProxyListener{{Addr: ":8000", Port: 8000}},
			Upstreams: []steady.Upstream{{Name: "shop-web-1-1", Addr: "10.1.0.3:80"}}},
		Host: doctor.Host{
			Root: true, ClockKnown: true, ClockSynced: true, Systemd: true,
			Tools:  map[string]bool{"iptables-restore": true},
			Units:  map[string]doctor.Unit{"steady.service": {Installed: true, Enabled: true}},
			Memory: doctor.Memory{Total: 8 << 30, Available: 4 << 30, SwapTotal: 1 << 30, SwapFree: 1 << 30},
			Disks:  []doctor.Disk{{Path: "/var/lib/docker", For: "the Engine's data", Total: 100 << 30, Free: 50 << 30, Nodes: 1000, NodesFree: 500}},
		},
		Nginx: doctor.Nginx{Installed: true, Running: true, Passes: []doctor.Pass{
			{Site: "example.org", Addr: "127.0.0.1:8000", File: "/etc/nginx/sites-enabled/shop", Upstream: "shop", KeepAlive: true, IdleTimeout: time.Minute}}},
		Ports:  []doctor.TakenPort{{Port: 8000, Who: doctor.Listener{PID: 7, Command: "steady"}}},
		Dials:  map[string]bool{"10.1.0.3:80": true, "127.0.0.1:8000": true},
		Probes: map[string]doctor.Answer{"shop-web-1-1": {Ready: true, Text: "200 /health"}},
		Deaf:   map[string]bool{},
		Stops:  []doctor.Stop{{Service: "web", Replica: "shop-web-1-1", Took: time.Second}},
	}
}

// container is shop's web, changed.
func container(change func(*steady.ExaminedContainer)) steady.ExaminedContainer {
	c := steady.ExaminedContainer{
		Replica: steady.Replica{
			ID: "1", Name: "shop-web-1-1", Service: "web", Release: 1, Number: 1, State: steady.StateRunning, Health: steady.HealthHealthy,
			Started: now.Add(-time.Hour), Addresses: map[string]string{"shop_default": "10.1.0.3"},
		},
		Project: "shop", PID: 50, Program: "/usr/bin/serve", StopSignal: "SIGTERM", StopTimeout: 10 * time.Second,
		RestartPolicy: "unless-stopped", MemoryLimit: 100 << 20, MemoryUsed: 50 << 20,
	}
	if change != nil {
		change(&c)
	}
	return c
}

func with(change func(*steady.ExaminedContainer)) func(*doctor.Facts) {
	return func(f *doctor.Facts) { f.Engine.Containers = []steady.ExaminedContainer{container(change)} }
}

// scene is a change to a well host and what its rule then says; an empty want
// means that it must say nothing.
type scene struct {
	rule   string
	change func(*doctor.Facts)
	want   string
}

func scenes() []scene {
	type c = steady.ExaminedContainer
	type f = doctor.Facts
	return []scene{
		{"engine-away", func(f *f) {
			f.Engine, f.EngineError = nil, steady.ErrNoEngine.With("no Docker Engine answers at x", "y")
		}, "no Docker Engine answers at x"},
		{"engine-old", func(f *f) { f.Engine.Version = "20.10.24" }, "the Docker Engine is 20.10.24"},
		{"engine-old", func(f *f) { f.Engine.Version = "dev" }, ""},
		{"disk-nearly-full", func(f *f) { f.Host.Disks[0].Free = 8 << 30 }, "92 % full: 8 GiB are left"},
		{"disk-nearly-full", func(f *f) { f.Host.Disks[0].Free = 1 << 30 }, ""},
		{"disk-nearly-full", func(f *f) { f.Host.Disks[0].NodesFree = 50 }, "95 % of its inodes"},
		{"disk-full", func(f *f) { f.Host.Disks[0].Free = 0 }, "100 % full"},
		{"disk-full", func(f *f) { f.Host.Disks[0].Free = 8 << 30 }, ""},
		{"disk-full", func(f *f) { f.Host.Disks[0].Nodes, f.Host.Disks[0].NodesFree = 0, 0 }, ""},
		{"daemon-away", func(f *f) { f.Daemon, f.DaemonError = nil, steady.ErrNoDaemon }, "no steady daemon answers"},
		{"proxy-away", func(f *f) { f.Proxy, f.ProxyError = nil, steady.ErrNoProxy }, "the proxy does not answer"},
		{"versions-differ", func(f *f) { f.Daemon.Version = "v0" }, "the daemon is v0 and this command is v1"},
		{"versions-differ", func(f *f) { f.Daemon = nil }, ""},
		{"listener-closed", func(f *f) { f.Proxy.Listeners[0].Error = "held by nginx (pid 3)" }, "cannot listen on :8000: held by nginx"},
		{"holder-left", func(f *f) {
			f.Engine.Containers = []c{container(func(c *c) { c.Name, c.Service, c.Holder = "shop-db-steady", "", "db" })}
		}, "shop-db-steady holds the names of shop/db"},
		{"holder-left", func(f *f) {
			f.Engine.Containers = append(f.Engine.Containers, container(func(c *c) { c.Name, c.Service, c.Holder = "shop-web-steady", "", "web" }))
		}, ""},
		{"project-unknown", func(f *f) { f.Daemon.Projects = []string{"other"} }, "the daemon does not know project shop, of which steady made containers: 1"},
		{"project-unknown", func(f *f) {
			with(func(c *c) { c.Release = 0 })(f)
			f.Daemon.Projects = nil
		}, ""},
		{"container-exited", with(func(c *c) { c.State, c.ExitCode, c.PID, c.Tail = steady.StateExited, 127, 0, []string{"not found"} }), "ended with status 127: its command is not in the image"},
		{"container-exited", with(func(c *c) { c.State, c.ExitCode = steady.StateExited, 0 }), ""},
		{"container-exited", with(func(c *c) { c.State, c.ExitCode, c.RestartPolicy = steady.StateExited, 143, "no" }), ""},
		{"container-exited", with(func(c *c) { c.State, c.ExitCode, c.Project = steady.StateExited, 1, "other" }), ""},
		{"container-exited", func(f *f) {
			with(func(c *c) { c.State, c.ExitCode = steady.StateExited, 1 })(f)
			f.Services = []string{"db"}
		}, ""},
		{"container-restarting", with(func(c *c) { c.State, c.Restarts, c.ExitCode = steady.StateRestarting, 5, 1 }), "was restarted 5 times, last with status 1"},
		{"container-restarting", with(func(c *c) { c.Restarts, c.Started = 5, now.Add(-time.Minute) }), "was restarted 5 times"},
		{"container-restarting", with(func(c *c) { c.Restarts = 5 }), ""},
		{"container-not-started", with(func(c *c) { c.State, c.Error = steady.StateCreated, "port is already allocated" }), "did not start: port is already allocated"},
		{"container-not-started", with(func(c *c) { c.State = steady.StateCreated }), ""},
		{"oom-killed", with(func(c *c) { c.State, c.OOM, c.ExitCode = steady.StateExited, true, 137 }), "killed for want of memory, its limit is 100 MiB"},
		{"unhealthy", with(func(c *c) {
			c.Health, c.HealthFailing, c.HealthExit, c.HealthOutput = steady.HealthUnhealthy, 3, 1, "refused"
		}), "3 times in a row, with status 1; steady's own probe passes (200 /health)"},
		{"unhealthy", with(func(c *c) { c.Health = steady.HealthStarting }), ""},
		{"probe-fails", func(f *f) { f.Probes["shop-web-1-1"] = doctor.Answer{Text: "connection refused"} }, "does not answer: connection refused"},
		{"probe-fails", func(f *f) {
			with(func(c *c) { c.Health = steady.HealthUnhealthy })(f)
			f.Probes["shop-web-1-1"] = doctor.Answer{}
		}, ""},
		{"memory-near-limit", with(func(c *c) { c.MemoryUsed = 95 << 20 }), "uses 95 % of its memory limit of 100 MiB"},
		{"memory-near-limit", with(func(c *c) { c.MemoryUsed, c.MemoryLimit = 95<<20, 0 }), ""},
		{"stop-unheard", func(f *f) { f.Deaf["shop-web-1-1"] = true }, "runs serve as its first process, which does not hear SIGTERM"},
		{"stop-slow", func(f *f) { f.Stops[0].Took = 10*time.Second + time.Millisecond }, "took 10s to stop, the whole of its grace of 10s"},
		{"stop-slow", func(f *f) {
			with(func(c *c) { c.StopTimeout = time.Minute })(f)
			f.Stops[0].Took = 11 * time.Second
		}, ""},
		{"upstream-dead", func(f *f) { f.Dials["10.1.0.3:80"] = false }, "the proxy sends requests to shop-web-1-1 at 10.1.0.3:80"},
		{"upstream-dead", func(f *f) { delete(f.Dials, "10.1.0.3:80") }, ""},
		{"port-taken", func(f *f) {
			f.Proxy.Listeners[0].Error = "taken"
			f.Ports[0].Who = doctor.Listener{PID: 3, Command: "apache2"}
		}, "port 8000 of web is held by apache2 (pid 3)"},
		{"port-taken", func(f *f) { f.Ports[0].Who = doctor.Listener{PID: 8, Command: "steady"} }, ""}, // the daemon has a copy
		{"port-taken", func(f *f) { f.Proxy, f.Ports[0].Who = nil, doctor.Listener{PID: 8, Command: "steady"} }, ""},
		{"port-taken", func(f *f) {
			f.Proxy = nil
			f.Ports[0].Who = doctor.Listener{PID: 3, Command: "docker-proxy", Docker: "10.1.0.3:80"}
		}, ""}, // docker compose's own container of the service: a deploy takes over
		{"port-taken", func(f *f) {
			f.Proxy = nil
			f.Ports[0].Who = doctor.Listener{PID: 3, Command: "docker-proxy", Docker: "10.9.0.3:80"}
		}, "port 8000 of web is held by docker-proxy (pid 3)"},
		{"port-taken", func(f *f) { f.Ports = nil }, ""},
		{"port-past-firewall", func(f *f) {
			with(func(c *c) { c.Published = []steady.Port{{Published: 5432}} })(f)
			f.Host.Firewall = "ufw"
		}, "port 5432 of shop-web-1-1 is open to the world, past ufw"},
		{"port-past-firewall", with(func(c *c) { c.Published = []steady.Port{{Published: 5432}} }), ""},
		{"port-past-firewall", func(f *f) {
			with(func(c *c) { c.Published = []steady.Port{{HostIP: "127.0.0.1", Published: 5432}} })(f)
			f.Host.Firewall = "ufw"
		}, ""},
		{"port-behind-firewall", func(f *f) { f.Host.Firewall = "ufw" }, "port 8000 is steady's, and ufw decides"},
		{"port-behind-firewall", func(f *f) {
			f.Host.Firewall = "ufw"
			f.Proxy.Listeners[0].Host = "127.0.0.1"
		}, ""},
		{"nginx-broken", func(f *f) { f.Nginx.Broken = []string{"[emerg] x"} }, "nginx does not load its configuration"},
		{"nginx-stopped", func(f *f) { f.Nginx.Running = false }, "nginx does not run, and it has example.org"},
		{"nginx-stopped", func(f *f) { f.Nginx.Running, f.Nginx.Passes = false, nil }, ""},
		{"nginx-upstream-dead", func(f *f) { f.Dials["127.0.0.1:8000"] = false }, "example.org goes to 127.0.0.1:8000, where nobody listens (/etc/nginx/sites-enabled/shop): it is the port of web"},
		{"nginx-past-steady", func(f *f) {
			f.Ports = []doctor.TakenPort{{Host: "127.0.0.1", Port: 8000, Who: doctor.Listener{PID: 3, Docker: "10.1.0.3:80"}}}
		}, "example.org goes to 127.0.0.1:8000, which is container shop-web-1-1"},
		{"nginx-past-steady", func(f *f) {
			f.Ports = []doctor.TakenPort{{Host: "127.0.0.1", Port: 8000, Who: doctor.Listener{PID: 7, Command: "steady"}}}
		}, ""},
		{"nginx-idle-timeout", func(f *f) { f.Nginx.Passes[0].IdleTimeout = 5 * time.Minute }, "upstream shop has keepalive_timeout 5m0s"},
		{"nginx-idle-timeout", func(f *f) { f.Nginx.Passes[0].IdleTimeout, f.Nginx.Passes[0].Addr = 5*time.Minute, "127.0.0.1:9000" }, ""},
		{"files-broken", func(f *f) { f.FilesError = steady.ErrCompose.With("compose.yaml:3: no", "mend it") }, "compose.yaml:3: no"},
		{"unset-variable", func(f *f) { f.Survey.Unset = []steady.Remark{{Path: "services.web.environment.A", Text: "A"}} }, "variable A is not set"},
		{"unset-variable", func(f *f) {
			f.Services = []string{"db"}
			f.Survey.Unset = []steady.Remark{{Path: "services.web.environment.A", Text: "A"}}
		}, ""},
		{"env-file-missing", func(f *f) { f.Survey.Missing = []steady.Remark{{Path: "services.web.env_file[0]", Text: "/x/.env"}} }, "env file .env of web is not there"},
		{"host-memory-low", func(f *f) { f.Host.Memory.Available = 512 << 20 }, "512 MiB of 8 GiB of memory are left"},
		{"host-memory-low", func(f *f) { f.Host.Memory = doctor.Memory{} }, ""},
		{"swap-used", func(f *f) { f.Host.Memory.SwapFree = 100 << 20 }, "924 MiB of 1 GiB of swap are in use"},
		{"swap-used", func(f *f) { f.Host.Memory.SwapTotal, f.Host.Memory.SwapFree = 0, 0 }, ""},
		{"clock-adrift", func(f *f) { f.Host.ClockSynced = false }, "clock is not kept in step"},
		{"clock-adrift", func(f *f) { f.Host.ClockSynced, f.Host.ClockKnown = false, false }, ""},
		{"tool-missing", func(f *f) { f.Host.Tools["iptables-restore"] = false }, "iptables-restore is not there"},
		{"unit-missing", func(f *f) { f.Host.Units["steady.service"] = doctor.Unit{} }, "steady.service is not installed"},
		{"unit-missing", func(f *f) { f.Host.Systemd, f.Host.Units["steady.service"] = false, doctor.Unit{} }, ""},
		{"unit-disabled", func(f *f) { f.Host.Units["steady.service"] = doctor.Unit{Installed: true} }, "steady.service is not enabled"},
		{"unit-disabled", func(f *f) { f.Host.Units["steady.service"] = doctor.Unit{} }, ""},
		{"not-root", func(f *f) { f.Host.Root = false }, "without root's rights"},
	}
}

func TestRules_SpeakUpAndAreSilent(t *testing.T) {
	if found := doctor.Judge(well()); len(found) > 0 {
		t.Fatalf("something is wrong with a well host: %+v", found)
	}
	spoke := map[string]bool{}
	for i, s := range scenes() {
		t.Run(fmt.Sprintf("%s %d", s.rule, i), func(t *testing.T) {
			f := well()
			s.change(&f)
			var said []string
			for _, found := range doctor.Judge(f) {
				if found.Rule != s.rule {
					continue
				}
				said = append(said, found.Text)
				if found.Why == "" || found.Mend == "" {
					t.Errorf("it does not say why, or what mends it: %+v", found)
				}
			}
			switch {
			case s.want == "" && len(said) > 0:
				t.Errorf("it speaks up: %q", said)
			case s.want != "" && (len(said) != 1 || !strings.Contains(said[0], s.want)):
				t.Errorf("it says %q, want one with %q", said, s.want)
			case s.want != "":
				spoke[s.rule] = true
			}
		})
	}
	for _, r := range doctor.Rules() {
		if !spoke[r.ID] {
			t.Errorf("no scene makes rule %s speak up", r.ID)
		}
	}
}

// Whatever could not be learnt, the rules judge the rest.
func TestRules_BearMissingFacts(t *testing.T) {
	for name, forget := range map[string]func(*doctor.Facts){
		"all":    func(f *doctor.Facts) { *f = doctor.Facts{} },
		"engine": func(f *doctor.Facts) { f.Engine = nil },
		"survey": func(f *doctor.Facts) { f.Survey = nil },
		"proxy":  func(f *doctor.Facts) { f.Proxy = nil },
		"daemon": func(f *doctor.Facts) { f.Daemon = nil },
		"maps":   func(f *doctor.Facts) { f.Dials, f.Probes, f.Deaf = nil, nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range scenes() {
				f := well()
				s.change(&f)
				forget(&f)
				doctor.Judge(f) // must not panic
			}
		})
	}
}

func TestJudge_TellsTheWorstFirstAndWhereItStands(t *testing.T) {
	f := well()
	f.Engine.Version = "20.10.24"
	f.Deaf["shop-web-1-1"] = true
	f.Proxy.Listeners = nil
	f.Ports[0].Who = doctor.Listener{PID: 3, Command: "apache2"}
	var got []string
	for _, x := range doctor.Judge(f) {
		got = append(got, string(x.Severity)+" "+x.Rule+" "+x.Place.String())
	}
	want := []string{"error port-taken /x/compose.yaml:4:9", "warning stop-unheard ", "info engine-old "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestReference_ListsEveryRule writes docs/doctor.md with -update.
func TestReference_ListsEveryRule(t *testing.T) {
	var b strings.Builder
	b.WriteString(intro)
	var ids []string
	for _, r := range doctor.Rules() {
		if slices.Contains(ids, r.ID) {
			t.Errorf("rule %s is there twice", r.ID)
		}
		ids = append(ids, r.ID)
		fmt.Fprintf(&b, "\n### %s\n\n**%s** · %s\n\n%s\n\n*Mend:* %s\n", r.ID, r.Severity, r.Title, r.Why, r.Mend)
	}
	path := filepath.Join("..", "..", "docs", "doctor.md")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("%s is behind; write it anew: go test ./internal/doctor -run Reference -update\n%s", path, diff)
	}
}

const intro = `# What steady doctor finds

Generated from the rules: ` + "`go test ./internal/doctor -run Reference -update`" + `.

` + "`steady doctor`" + ` looks at the host, the Docker Engine, nginx, steady's own parts and the project whose Compose file is in reach (without one,
at every project). It needs neither a daemon nor an Engine, takes some seconds at most, and changes nothing: it starts, stops and writes
nothing, and runs no command within a container. It does open connections to what nginx and the proxy pass requests on to, and puts
steady's own HTTP or TCP probe to running containers. As ` + "`nginx -t`" + ` does, asking nginx opens the log files that its configuration names.

    sudo steady doctor                  # for a person; as root, or some things cannot be seen
    sudo steady doctor api --json       # {"project", "looked", "findings": [{"rule", "severity", "service", "place", "text", "why", "mend", "lines"}]}

Exit status: 0 nothing, or nothing worse than info · 20 the worst is a warning · 21 an error.

| the guide's case | rules |
|---|---|
| a container does not start | container-exited, container-restarting, container-not-started, port-taken, unset-variable, env-file-missing |
| a health check fails | unhealthy, probe-fails |
| nginx answers 502 | nginx-upstream-dead, nginx-past-steady, nginx-broken, nginx-stopped, upstream-dead, proxy-away |
| high memory usage | memory-near-limit, oom-killed, host-memory-low, swap-used |

## Rules
`
