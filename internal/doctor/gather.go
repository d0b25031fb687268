package doctor

import (
	"cmp"
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// Bounds on how long each fact may take.
const (
	patience     = 5 * time.Second // with each source, where Sources says nothing
	dialTimeout  = 500 * time.Millisecond
	probeTimeout = 3 * time.Second
)

// Engine is what is asked of the Docker Engine.
type Engine interface {
	// Examine looks at the Engine and all its containers; steady.ErrNoEngine when
	// none answers.
	Examine(ctx context.Context) (steady.Examined, error)
}

// Control is what is asked of steady's own parts.
type Control interface {
	// Daemon asks the daemon; steady.ErrNoDaemon when none answers.
	Daemon(ctx context.Context) (Daemon, error)
	// Proxy asks the proxy; steady.ErrNoProxy when none answers.
	Proxy(ctx context.Context) (Proxy, error)
	// Stops tells how long replicas of the project took to stop in its last
	// rollouts; nothing when the daemon is away.
	Stops(ctx context.Context, project string) []Stop
}

// Prober asks one container whether it can serve, once.
type Prober interface {
	Ready(ctx context.Context, name string, probe steady.Probe) (string, error)
}

// Sources is where facts come from.
type Sources struct {
	Project  string   // empty: all projects
	Services []string // empty: all of them
	Version  string   // of this command

	Survey     *steady.Survey // nil: no Compose files in reach
	FilesError error          // why they could not be read

	Engine  Engine
	Control Control
	Prober  Prober
	Holder  func(addr string) (Listener, bool) // who listens on an address

	StateDir    string // of steady
	NginxConfig string // its configuration file; empty: nginx's own default

	Patience time.Duration // with each source; 0: five seconds
}

// Gather asks all sources, side by side. It returns within about ten seconds,
// whatever does not answer.
func Gather(ctx context.Context, s Sources) Facts {
	f := Facts{
		Project: s.Project, Services: s.Services, Version: s.Version, Survey: s.Survey, Now: time.Now(),
		FilesError: asError(s.FilesError),
	}
	s.Patience = cmp.Or(s.Patience, patience)
	first, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	var asking sync.WaitGroup
	asking.Go(func() {
		e, err := s.Engine.Examine(first)
		if f.EngineError = asError(s.late(first, err)); err == nil {
			f.Engine = &e
		}
	})
	asking.Go(func() {
		d, err := s.Control.Daemon(first)
		if f.DaemonError = asError(s.late(first, err)); err == nil {
			f.Daemon = &d
			f.Stops = s.Control.Stops(first, s.Project)
		}
	})
	asking.Go(func() {
		p, err := s.Control.Proxy(first)
		if f.ProxyError = asError(s.late(first, err)); err == nil {
			f.Proxy = &p
		}
	})
	asking.Go(func() { f.Nginx = nginx(first, s.NginxConfig) })
	asking.Go(func() { f.Host = host(first) })
	asking.Wait()
	f.Host.Disks = disks(f.Engine, s.StateDir)
	then(ctx, s, &f)
	return f
}

func asError(err error) *steady.Error {
	if err == nil {
		return nil
	}
	return steady.AsError(err)
}

// late says in plain words that somebody took too long.
func (s Sources) late(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return steady.ErrInternal.With("no answer within "+s.Patience.String(), "")
	}
	return err
}

// then gathers what follows from the first facts.
func then(ctx context.Context, s Sources, f *Facts) {
	f.Dials, f.Probes, f.Deaf = map[string]bool{}, map[string]Answer{}, map[string]bool{}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, addr := range f.addresses() {
		asking.Go(func() {
			answers := dials(ctx, addr)
			mu.Lock()
			defer mu.Unlock()
			f.Dials[addr] = answers
		})
	}
	for _, c := range f.containers() {
		if c.PID > 0 && deaf(c.PID, c.StopSignal) {
			f.Deaf[c.Name] = true
		}
		d, ok := f.declared(c.Project, c.Service)
		if !ok || !c.Running() || s.Prober == nil || d.Probe.Kind != steady.ProbeHTTP && d.Probe.Kind != steady.ProbeTCP {
			continue
		}
		asking.Go(func() {
			a := asks(ctx, s.Prober, c.Name, d.Probe)
			mu.Lock()
			defer mu.Unlock()
			f.Probes[c.Name] = a
		})
	}
	asking.Wait()
	f.Ports = taken(s, f)
}

// asks puts steady's probe, not the container's own healthcheck. The commands of
// exec probes are not run: they may do anything.
func asks(ctx context.Context, p Prober, name string, probe steady.Probe) Answer {
	timed, cancel := context.WithTimeout(ctx, probeTimeout+time.Second)
	defer cancel()
	probe.Rise, probe.Deadline = 1, probeTimeout
	said, err := p.Ready(timed, name, probe)
	if err != nil {
		return Answer{Text: err.Error()}
	}
	return Answer{Ready: true, Text: said}
}

// addresses are those to be dialled: what nginx passes on to and what the proxy's
// table routes to.
func (f Facts) addresses() []string {
	var out []string
	seen := map[string]bool{}
	add := func(addr string) {
		if !seen[addr] {
			seen[addr] = true
			out = append(out, addr)
		}
	}
	for _, p := range f.Nginx.Passes {
		if p.near() {
			add(p.Addr)
		}
	}
	if f.Proxy != nil {
		for _, u := range f.Proxy.Upstreams {
			if _, _, err := net.SplitHostPort(u.Addr); err == nil { // an inner pool's has no port
				add(u.Addr)
			}
		}
	}
	return out
}

func dials(ctx context.Context, addr string) bool {
	timed, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	network := "tcp"
	if addr[0] == '/' {
		network = "unix"
	}
	c, err := new(net.Dialer).DialContext(timed, network, addr)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// taken finds who listens on the ports that matter here.
func taken(s Sources, f *Facts) []TakenPort {
	if s.Holder == nil {
		return nil
	}
	var out []TakenPort
	add := func(host string, port uint16) {
		for _, t := range out {
			if t.Host == host && t.Port == port {
				return
			}
		}
		if who, ok := s.Holder(net.JoinHostPort(host, strconv.Itoa(int(port)))); ok {
			out = append(out, TakenPort{Host: host, Port: port, Who: who})
		}
	}
	for _, p := range f.Nginx.Passes {
		if host, port, err := net.SplitHostPort(p.Addr); err == nil && p.near() {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil {
				add(host, uint16(n))
			}
		}
	}
	if f.Survey == nil {
		return out
	}
	for _, d := range f.Survey.Services {
		for _, p := range d.Published {
			if p.Published != 0 && p.Transport == "tcp" {
				add(p.HostIP, p.Published)
			}
		}
	}
	return out
}
