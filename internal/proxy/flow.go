package proxy

import (
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// took is steady.Latencies while they are being counted: a search among the
// bounds and two atomic adds per answer.
type took struct {
	sum     atomic.Int64 // nanoseconds
	buckets [steady.LatencyBuckets]atomic.Int64
}

// answer counts one whole answer of the app.
func (c *counter) answer(status int, d time.Duration) {
	c.class(status)
	add(&c.took, d)
}

// wait counts how long one waited at the gate.
func (c *counter) wait(d time.Duration) {
	add(&c.waits, d)
	for longest := c.longestWait.Load(); int64(d) > longest && !c.longestWait.CompareAndSwap(longest, int64(d)); {
		longest = c.longestWait.Load()
	}
}

// add counts in what is made when it is first needed.
func add(to *atomic.Pointer[took], d time.Duration) {
	t := to.Load()
	if t == nil {
		to.CompareAndSwap(nil, &took{})
		t = to.Load()
	}
	t.sum.Add(int64(d))
	t.buckets[steady.LatencyBucket(d)].Add(1)
}

// class counts the status of an answer; 0 is the 101 of an upgrade, which
// net/http has not seen.
func (c *counter) class(status int) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 1
	}
	c.classes[class].Add(1)
}

// latencies are what was counted, nil for nothing.
func (c *counter) latencies() (steady.Latencies, time.Duration) { return c.took.Load().read() }

func (t *took) read() (steady.Latencies, time.Duration) {
	if t == nil {
		return nil, 0
	}
	out := make(steady.Latencies, len(t.buckets))
	for i := range t.buckets {
		out[i] = t.buckets[i].Load()
	}
	return out, time.Duration(t.sum.Load())
}

// flow is all there is to know of the counter but what is open. The caller holds
// the lock of counters.
func (c *counter) flow(now time.Time) steady.Flow {
	f := steady.Flow{Counts: c.read()}
	for i := range c.classes {
		f.Classes[i] = c.classes[i].Load()
	}
	f.Took, f.Sum = c.latencies()
	f.Waits, f.Waited = c.waits.Load().read()
	f.LongestWait = time.Duration(c.longestWait.Load())
	f.Minute = c.past.since(minute, now, f)
	f.Lately = c.past.since(lately, now, f)
	return f
}

// flows tells every flow that counts, or takes traffic: of one service, "shop/api",
// or of all where it is empty.
func (p *Proxy) flows(of string) steady.Flows {
	open := p.inFlight()
	now := time.Now()
	p.counts.mu.Lock()
	defer p.counts.mu.Unlock()
	out := steady.Flows{}
	for service, releases := range p.counts.all {
		if of != "" && of != service {
			continue
		}
		flows := map[int]steady.Flow{}
		for release, c := range releases {
			o := open[c]
			if !o.routed && o.Open == (steady.Open{}) && c.past.forgotten(now) {
				continue
			}
			f := c.flow(now)
			f.Open, f.Routed = o.Open, o.routed
			if f.Routed || f.Counts != (steady.Counts{}) {
				flows[release] = f
			}
		}
		if len(flows) > 0 {
			out[service] = flows
		}
	}
	return out
}

// opened is what one counter's upstreams have open, and whether one is in force.
type opened struct {
	steady.Open
	routed bool
}

func (p *Proxy) inFlight() map[*counter]opened {
	out := map[*counter]opened{}
	for _, u := range p.upstreams() {
		u.pool.mu.Lock()
		o := out[u.count]
		o.Requests += u.flights.n[request]
		o.Streams += u.flights.n[stream]
		o.routed = o.routed || u.routed
		out[u.count] = o
		u.pool.mu.Unlock()
	}
	return out
}
