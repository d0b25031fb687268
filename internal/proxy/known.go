package proxy

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"gesalpai.ch/steady"
)

// httpAnswers is how many good answers to HTTP requests it takes until an app is
// known to speak HTTP at a port. One is not enough: MongoDB answers a browser's GET
// with 200, and servers of TLS answer a plain request with a redirect.
const httpAnswers = 3

// known is at which of its ports a release speaks HTTP: the table says so of a port
// that the release's probe asked over HTTP, or the app has answered requests there.
// It is never taken back: another release is another app.
type known struct {
	mu      sync.Mutex
	answers map[uint16]int // good ones, by port in the container
}

// add notes n good answers, and says whether it is known by them and was not before.
func (k *known) add(port uint16, n int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.answers == nil {
		k.answers = map[uint16]int{}
	}
	before := k.answers[port]
	k.answers[port] = min(before+n, httpAnswers)
	return before < httpAnswers && k.answers[port] == httpAnswers
}

func (k *known) speaksHTTP(port uint16) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.answers[port] == httpAnswers
}

// ports are those at which HTTP is known to be spoken.
func (k *known) ports() []uint16 {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []uint16
	for _, port := range slices.Sorted(maps.Keys(k.answers)) {
		if k.answers[port] == httpAnswers {
			out = append(out, port)
		}
	}
	return out
}

// heard notes an answer to an HTTP request. True: the app is known to speak HTTP
// from now on, which is to be kept.
func (p *pool) heard(u *upstream, status int) bool {
	if p.http.Load() || status < http.StatusOK || status >= http.StatusBadRequest || !u.count.known.add(u.port(), 1) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recognize()
	return true
}

// recognize finds out whether all releases in force are known to speak HTTP. While
// none is, what was known before stays: whoever waits at the gate comes for it.
// p.mu is held.
func (p *pool) recognize() {
	if len(p.routed) == 0 {
		return
	}
	if ingress := p.ingress.Load(); ingress != nil {
		for _, u := range p.routed {
			if port := u.port(); slices.Contains(ingress.HTTPPorts, port) {
				u.count.known.add(port, httpAnswers)
			}
		}
	}
	p.http.Store(!slices.ContainsFunc(p.routed, func(u *upstream) bool { return !u.count.known.speaksHTTP(u.port()) }))
}

// port is the upstream's in the container.
func (u *upstream) port() uint16 {
	_, port, _ := net.SplitHostPort(u.Addr)
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}

// spoken is what is known, by service and release: kept in the table file, as who
// begins to listen again must not begin to guess again.
type spoken map[string]map[int][]uint16

// spoken is what is known of the releases that a table lists.
func (c *counters) spoken(t steady.Table) spoken {
	out := spoken{}
	for _, p := range t.Pools {
		service := serviceOf(p.Name)
		for _, u := range p.Upstreams {
			ports := c.of(service, u.Release).known.ports()
			if len(ports) == 0 {
				continue
			}
			if out[service] == nil {
				out[service] = map[int][]uint16{}
			}
			out[service][u.Release] = ports
		}
	}
	return out
}

// recall takes over what was known.
func (s spoken) recall(c *counters) {
	for service, releases := range s {
		for release, ports := range releases {
			for _, port := range ports {
				c.of(service, release).known.add(port, httpAnswers)
			}
		}
	}
}

// keep remembers what the table file holds. Its upstreams are copied: who resumes
// takes from its own those that are not proven.
func (p *Proxy) keep(r record) {
	r.Table.Pools = slices.Clone(r.Table.Pools)
	for i := range r.Table.Pools {
		pool := &r.Table.Pools[i]
		pool.Upstreams, pool.Elders = slices.Clone(pool.Upstreams), slices.Clone(pool.Elders)
	}
	p.serving.Lock()
	defer p.serving.Unlock()
	p.saved = r
}

// keepSpoken writes what has become known to the table file, beside the table in
// force; where there is no room, later.
func (p *Proxy) keepSpoken() {
	p.serving.Lock()
	defer p.serving.Unlock()
	p.saved.Spoken = p.counts.spoken(p.saved.Table)
	now := p.saved
	p.unsaved = nil
	if err := save(p.opts.TableFile, now); err != nil {
		p.unsaved = &now
	}
}
