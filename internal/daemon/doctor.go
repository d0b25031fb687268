package daemon

import (
	"context"
	"path/filepath"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/doctor"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/probe"
	"gesalpai.ch/steady/internal/proxy"
)

// Examination says what `steady doctor` is asked to look at.
type Examination struct {
	Project     string         // empty: all projects
	Services    []string       // empty: all of them
	Survey      *steady.Survey // of the Compose files in reach; nil: none
	FilesError  error          // why they could not be read
	Version     string         // of this command
	Socket      string         // of the daemon
	StateDir    string
	RunDir      string // empty: where the daemon says that its proxy is, else the socket's directory
	DockerHost  string // empty: DOCKER_HOST or the Engine's usual socket
	NginxConfig string // empty: nginx's own default
}

// Examine looks for what is wrong. It runs in the caller's process and needs
// neither a daemon nor an Engine: that they are away is a finding.
func Examine(ctx context.Context, x Examination) doctor.Report {
	s := doctor.Sources{
		Project: x.Project, Services: x.Services, Version: x.Version, Survey: x.Survey, FilesError: x.FilesError,
		Control:  x.control(ctx),
		Holder:   holder,
		StateDir: x.StateDir, NginxConfig: x.NginxConfig,
	}
	engine, err := docker.New(docker.Options{Host: x.DockerHost})
	if err != nil {
		s.Engine = noEngine{err}
		return doctor.Examine(ctx, s)
	}
	defer engine.Close()
	s.Engine, s.Prober = engine, probe.New(engine, nil)
	return doctor.Examine(ctx, s)
}

// askFor is how long a daemon may take to say where its proxy is.
const askFor = 2 * time.Second

// control finds steady's own parts: the proxy where the daemon says that it is, also
// where its sockets are not in the usual directory.
func (x Examination) control(ctx context.Context) control {
	c := control{daemon: api.NewClient(x.Socket)}
	at := ProxySocket(x.RunDir)
	if x.RunDir == "" {
		at = ProxySocket(filepath.Dir(x.Socket))
		ctx, cancel := context.WithTimeout(ctx, askFor)
		defer cancel()
		if v, err := c.daemon.Version(ctx); err == nil && v.ProxySocket != "" {
			at = v.ProxySocket
		}
	}
	c.proxy = proxy.NewClient(at)
	return c
}

// noEngine stands for an Engine whose address cannot be used.
type noEngine struct{ err error }

func (n noEngine) Examine(context.Context) (steady.Examined, error) { return steady.Examined{}, n.err }

// control asks steady's own parts for the doctor.
type control struct {
	daemon *api.Client
	proxy  *proxy.Client
}

var (
	_ doctor.Control = control{}
	_ doctor.Engine  = (*docker.Engine)(nil)
	_ doctor.Prober  = (*probe.Prober)(nil)
)

func (c control) Daemon(ctx context.Context) (doctor.Daemon, error) {
	v, err := c.daemon.Version(ctx)
	if err != nil {
		return doctor.Daemon{}, err
	}
	known, err := c.daemon.Projects(ctx)
	return doctor.Daemon{Version: v.Steady, Projects: known}, err
}

func (c control) Proxy(ctx context.Context) (doctor.Proxy, error) {
	s, err := c.proxy.Status(ctx)
	if err != nil {
		return doctor.Proxy{}, err
	}
	out := doctor.Proxy{PID: s.PID, Table: s.Version}
	for _, l := range s.Listeners {
		pl := doctor.ProxyListener{Host: l.Host, Port: l.Port, Error: l.Error}
		if l.Bound != 0 {
			pl.Port = l.Bound
		}
		if pl.Addr = l.Addr(); l.Holder != "" {
			pl.Addr = ""
		}
		out.Listeners = append(out.Listeners, pl)
	}
	for _, u := range s.Upstreams {
		if u.Routed {
			out.Upstreams = append(out.Upstreams, u.Upstream)
		}
	}
	return out, nil
}

// stopsOf is how many of the project's last rollouts are read for their stops.
const stopsOf = 5

// Stops reads the events of the last rollouts that have ended.
func (c control) Stops(ctx context.Context, project string) []doctor.Stop {
	if project == "" {
		return nil
	}
	rollouts, err := c.daemon.Rollouts(ctx, project, stopsOf)
	if err != nil {
		return nil
	}
	var out []doctor.Stop
	for _, r := range rollouts {
		if !r.Final() {
			continue
		}
		timed, cancel := context.WithTimeout(ctx, time.Second)
		_ = c.daemon.Events(timed, r.ID, 0, func(e steady.Event) error {
			if e.Kind == steady.EventStep && e.Step == steady.StepStop {
				out = append(out, doctor.Stop{Service: e.Service, Replica: e.Replica, Took: e.Took})
			}
			return nil
		})
		cancel()
	}
	return out
}

func holder(addr string) (doctor.Listener, bool) {
	h, ok := listen.FindHolder(addr)
	return doctor.Listener{PID: h.PID, Command: h.Command, Docker: h.Docker}, ok
}
