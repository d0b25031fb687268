package proxy

import (
	"context"
	"os"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// resume serves the table of the table file, if there is one that can be read. A
// file that cannot is set aside, and the proxy begins empty: whoever drives it
// puts a table in force.
func (p *Proxy) resume(life context.Context) {
	clearTemporaries(p.opts.TableFile)
	inherited := p.inherit()
	defer inherited.close()
	r, err := load(p.opts.TableFile)
	if err != nil {
		aside := p.opts.TableFile + ".unreadable"
		p.log.Error("table file cannot be used; begin with an empty table", "err", err, "kept", aside)
		_ = os.Rename(p.opts.TableFile, aside)
		return
	}
	r.Spoken.recall(&p.counts)
	p.keep(r)
	disown(&r.Table, p.counts.who.blind)
	fresh := map[key]*door{}
	missing := map[key]error{}
	for i, k := range keys(r.Table.Listeners) {
		l := remembered(r, i)
		ln, err := inherited.take(listenerName(l)), error(nil)
		switch {
		case ln == nil && k.holder != "":
			err = errNotLent
		case ln == nil:
			ln, err = bindAgain(life, l, r.Table.Listeners[i])
		}
		switch {
		case err != nil:
			p.log.Error("listen", "addr", listenerName(l), "err", err)
			missing[k] = err
		case k.holder != "":
			p.lent[listenerName(l)] = ln
		default:
			fresh[k] = &door{ln: ln}
		}
	}
	udp, udpMissing := p.resumeUDP(life, r, inherited)
	p.force(life, r.Table, fresh, udp)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missing, p.udpMissing = missing, udpMissing
}

// bindAgain listens where the proxy before did, and where nobody chose the port on
// another if need be.
func bindAgain(ctx context.Context, before, l steady.Listener) (*socket, error) {
	ln, err := listen.TCP(ctx, before.Addr())
	if err != nil && l.Port == 0 {
		ln, err = listen.TCP(ctx, l.Addr())
	}
	if err != nil {
		return nil, err
	}
	return &socket{TCPListener: ln}, nil
}

// remembered is the record's i-th listener with the port it got.
func remembered(r record, i int) steady.Listener {
	l := r.Table.Listeners[i]
	if l.Port == 0 && l.Holder == "" && i < len(r.Bound) {
		l.Port = r.Bound[i]
	}
	return l
}

// rebind tries again what could not be bound when the table was loaded.
func (p *Proxy) rebind(life context.Context) {
	p.serving.Lock()
	defer p.serving.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rebindUDP(life)
	if len(p.missing) == 0 {
		return
	}
	for i, k := range keys(p.table.Listeners) {
		if p.missing[k] == nil || k.holder != "" {
			continue
		}
		l := p.table.Listeners[i]
		ln, err := listen.TCP(life, l.Addr())
		if err != nil {
			p.missing[k] = err
			continue
		}
		d := &door{ln: &socket{TCPListener: ln}}
		d.behind.Store(p.behind(l))
		p.open(life, k, d)
		p.log.Info("listens at last", "addr", l.Addr())
	}
}
