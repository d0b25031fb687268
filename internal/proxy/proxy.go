package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/process"
)

// duckTime is how long idle client connections may still say something when
// Run's context has ended and nothing is in flight any more.
const duckTime = time.Second

// Proxy is the data plane. New makes one, Run serves.
type Proxy struct {
	opts    Options
	limits  Limits
	log     *slog.Logger
	counts  counters
	access  *accessLog // nil: none is kept
	drained drainedAll
	started time.Time
	buffers buffers
	http    *handed
	seats   *seats
	conns   conns
	certs   *listen.Certificates
	tls     *tls.Config    // for connections over TCP
	lame    atomic.Bool    // every answer is its connection's last
	work    sync.WaitGroup // accept loops, greetings, relays, exchanges

	serving sync.Mutex // one table at a time
	unsaved *record    // the table in force, where its file could not be written; guarded by serving
	saved   record     // the table in force as its file has it, or is to have it; guarded by serving
	mu      sync.Mutex // guards what follows
	table   steady.Table
	pools   map[string]group
	notices map[string]*notice // by their maintenance's Ref
	leaving []group            // no table lists them; something may be in flight
	doors   map[key]*door
	lent    map[string]*socket // holders' listeners by name, in force or for the next table
	missing map[key]error      // listed, but could not be had when the table was loaded

	udp        map[key]*datagrams
	udpMissing map[key]error
	udpFlows   atomic.Int64 // that are relayed
}

// pingAfter is how long an HTTP/2 client may send nothing before it is asked
// whether it is still there: it has no idle deadline while a request is open.
const pingAfter = 30 * time.Second

// quiet takes net/http's own words, which are about clients.
var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)

// New makes a Proxy. It opens nothing.
func New(o Options) (*Proxy, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o = o.filled()
	l := o.Limits.filled()
	var access *accessLog
	if o.Access.on() {
		access = newAccessLog(o.Access, o.Log)
	}
	p := &Proxy{
		access: access, started: time.Now(),
		opts: o, limits: l, log: o.Log,
		http: newHanded(), seats: newSeats(l.MaxConns),
		pools: map[string]group{}, doors: map[key]*door{}, lent: map[string]*socket{}, missing: map[key]error{},
		udp: map[key]*datagrams{}, udpMissing: map[key]error{},
	}
	p.counts.who.ended, p.counts.who.blind = p.meetAll, !process.Visible()
	if p.counts.who.blind {
		o.Log.Warn("the containers' processes cannot be seen: an address counts as its container's while the daemon says so", "see", "hidepid in proc(5)")
	}
	return p, nil
}

// Run serves the table file's table at once, then the control socket, until ctx
// ends. Then it stops accepting, says Connection: close with every answer, gives
// what is in flight Limits.Grace and returns nil. An error means that it could
// not begin: another proxy has the socket, or its directory cannot be written.
func (p *Proxy) Run(ctx context.Context) error {
	control, err := openControl(p.opts.Socket)
	if err != nil {
		return err
	}
	defer control.close()
	defer relaxCollector()()
	p.certs = listen.OpenCertificates(p.opts.Certificates, p.log)
	defer p.certs.Close()
	p.tls = p.certs.Config("h2", "http/1.1")
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	if p.access != nil {
		go p.access.run()
		defer p.access.end()
	}
	srv := p.server(life)
	p.work.Go(func() { _ = srv.Serve(p.http) })
	p.resume(life)
	p.work.Go(func() { p.lending(life, control.handles) })
	ctl := &http.Server{Handler: p.control(life), ReadHeaderTimeout: p.limits.ReadHeaderTimeout, ErrorLog: quiet}
	failed := make(chan error, 1)
	p.work.Go(func() { failed <- ctl.Serve(control.ln) })
	p.log.Info("proxy serves", "socket", p.opts.Socket, "pid", os.Getpid())
	err = p.until(ctx, life, failed)
	_ = ctl.Close()
	_ = control.handles.Close()
	p.finish()
	kill()
	p.conns.closeAll()
	_ = srv.Close()
	p.work.Wait()
	p.closeIdle()
	p.counts.who.close()
	p.closeLent()
	return err
}

// gcPercent lets the heap grow to five times what lives before it is collected.
// A proxy's living heap is a few MB and its garbage 10 KB a request, so the
// default would collect at every thousandth request: 8 % of the throughput for
// some 15 MB.
const gcPercent = 400

// relaxCollector sets it for as long as the proxy runs, unless GOGC says
// otherwise.
func relaxCollector() (restore func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(gcPercent)
	return func() { debug.SetGCPercent(before) }
}

// server is net/http's, for connections already known to speak HTTP.
func (p *Proxy) server(life context.Context) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           p,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: pingAfter, WriteByteTimeout: p.limits.WriteIdle},
		ReadHeaderTimeout: p.limits.ReadHeaderTimeout,
		IdleTimeout:       p.limits.IdleTimeout,
		MaxHeaderBytes:    p.limits.MaxHeaderBytes,
		ErrorLog:          quiet,
		// OPTIONS * is the app's to answer, as any request (RFC 9112 3.2.4).
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return life },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, clientOf(c))
		},
	}
}

// until waits for the end, and meanwhile tries again what could not be bound.
func (p *Proxy) until(ctx, life context.Context, failed <-chan error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return errors.Join(errors.New("control socket ended"), err)
		case <-tick.C:
			p.rebind(life)
			p.saveAgain()
			p.quickenAll(life)
			p.counts.sample(time.Now())
		}
	}
}

// finish ends the data plane: no new connection, and for what is open a bounded
// time.
func (p *Proxy) finish() {
	p.lame.Store(true)
	p.mu.Lock()
	for _, d := range p.doors {
		d.close()
		p.hushDoor(d)
	}
	for _, d := range p.udp {
		d.close()
	}
	p.mu.Unlock()
	for _, g := range p.counts.allGates() {
		g.end()
	}
	grace := p.limits.Grace
	clocks := steady.Drain{Requests: grace, Streams: grace}
	ctx, cancel := context.WithTimeout(context.Background(), grace+clocks.Patience()+lastWords+settle)
	defer cancel()
	d := newDraining(p.upstreams(), clocks)
	defer d.stop()
	if err := d.run(ctx); err != nil {
		p.log.Warn("end with requests in flight", "err", err)
	}
	for end := time.Now().Add(duckTime); p.conns.count() > 0 && time.Now().Before(end); {
		wait(ctx, 5*time.Millisecond)
	}
}

// closeIdle closes every connection kept to an upstream.
func (p *Proxy) closeIdle() {
	for _, u := range p.upstreams() {
		u.closeIdle()
	}
}

// upstreams lists all that are routed or have something in flight.
func (p *Proxy) upstreams() []*upstream {
	var out []*upstream
	for _, pool := range p.allPools() {
		pool.mu.Lock()
		for _, u := range pool.known {
			out = append(out, u)
		}
		pool.mu.Unlock()
	}
	return out
}

func (p *Proxy) allPools() []*pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*pool, 0, len(p.pools)+len(p.leaving))
	for _, g := range p.pools {
		out = append(out, g.each()...)
	}
	for _, g := range p.leaving {
		out = append(out, g.each()...)
	}
	return out
}

// replicas lists the known upstreams of the containers named.
func (p *Proxy) replicas(ids []string) []*upstream {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	var out []*upstream
	for _, pool := range p.allPools() {
		out = append(out, pool.replicas(wanted)...)
	}
	return out
}
