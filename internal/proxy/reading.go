package proxy

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// reading tells what was counted of one project's services: of every release there
// was, as who takes the difference of two readings must know where it began, or of
// those of which something was counted since.
func (p *Proxy) reading(project string, since time.Time) steady.Reading {
	open := p.inFlight()
	now := time.Now()
	out := steady.Reading{At: now.UTC(), Proxy: p.started.UTC(), Services: map[string]map[int]steady.Measure{}, Minute: map[string]steady.Stretch{}}
	p.counts.mu.Lock()
	defer p.counts.mu.Unlock()
	for service, releases := range p.counts.all {
		if !strings.HasPrefix(service, project+"/") {
			continue
		}
		measures := map[int]steady.Measure{}
		var span steady.Span
		for release, c := range releases {
			o := open[c]
			if !o.routed && o.Open == (steady.Open{}) && c.quiet(since) {
				continue
			}
			f := c.flow(now)
			f.Open = o.Open
			span = span.Plus(f.Minute)
			if m := f.Measure(); !m.Zero() || m.Open != (steady.Open{}) {
				measures[release] = m
			}
		}
		out.Services[service], out.Minute[service] = measures, span.Stretch()
	}
	return out
}

// quiet says whether nothing has been counted since then. Of what happened less
// than sampleEvery before, it may say that it was later. The caller holds the lock
// of counters.
func (c *counter) quiet(since time.Time) bool {
	last := c.past.samples[len(c.past.samples)-1]
	return !since.IsZero() && last.at.Before(since) && c.read() == last.counts
}

// Reading gives what has been counted of a project since the proxy began: of all
// its releases, or of those of which something was counted since a time of the
// proxy's own clock.
func (c *Client) Reading(ctx context.Context, project string, since time.Time) (steady.Reading, error) {
	q := url.Values{"project": {project}}
	if !since.IsZero() {
		q.Set("since", since.Format(time.RFC3339Nano))
	}
	var r steady.Reading
	err := c.call(ctx, http.MethodGet, "/v1/reading?"+q.Encode(), nil, &r)
	return r, err
}
