package rollout_test

import (
	"context"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// The place's holders, which are held to the Runtime suite like all else of it.

func (p *place) Hold(_ context.Context, s steady.Spec) (steady.Holder, error) {
	defer p.note("hold %s", s.Service)()
	if ok, why := s.Held(); !ok {
		return steady.Holder{}, steady.ErrUnsupported.With(s.Ref()+" cannot have a holder: "+why, "set x-steady.internal: off for it")
	}
	name := s.Project + "-" + s.Service + "-steady"
	h, there := p.holders[name]
	if !there {
		h = steady.Holder{Project: s.Project, Service: s.Service, ID: fmt.Sprintf("id-%s-%d", name, len(p.calls)), Name: name, Addresses: map[string]string{}}
	}
	for i, n := range s.Networks {
		if !p.networks[n.Name] {
			return steady.Holder{}, fmt.Errorf("network %s is not there", n.Name)
		}
		h.Addresses[n.Name] = fmt.Sprintf("10.0.%d.200", i)
		p.names[name] = n.Aliases
	}
	if h.PID == 0 {
		h.PID, h.Started = 1000+len(p.calls), time.Now()
	}
	p.holders[name] = h
	return h, nil
}

func (p *place) Forget(_ context.Context, project, service string) error {
	defer p.note("forget %s", service)()
	p.forget(project + "-" + service + "-steady")
	return nil
}

func (p *place) forget(name string) {
	delete(p.holders, name)
	delete(p.names, name)
}

// halt stops a holder, as anybody may; false where there is none of that name.
func (p *place) halt(name string) bool {
	h, ok := p.holders[name]
	if ok {
		h.PID = 0
		p.holders[name] = h
	}
	return ok
}
