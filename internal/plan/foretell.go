package plan

import (
	"cmp"
	"slices"

	"gesalpai.ch/steady"
)

// foretell says who will have to connect again: those who have streams open to the
// replicas that go. Clients within the project are told by their service.
func (b *builder) foretell(m *move) {
	if !slices.ContainsFunc(m.old, steady.Replica.Running) {
		return
	}
	streams := map[string]int{}
	for _, c := range b.in.Callers {
		if c.Service == m.Service {
			streams[b.client(c.Address)] += c.Streams
		}
	}
	for client, n := range streams {
		m.Reconnects = append(m.Reconnects, steady.Reconnect{Client: client, Streams: n})
	}
	slices.SortFunc(m.Reconnects, func(x, y steady.Reconnect) int { return cmp.Compare(x.Client, y.Client) })
	if len(m.Reconnects) > 0 && m.beside() {
		m.StreamClock = b.in.Serving[m.Service].Spec.Drain.Streams
	}
}

// client names who has an address: a service of the project, or nobody we know.
func (b *builder) client(address string) string {
	for _, r := range b.in.Observed.Replicas {
		for _, a := range r.Addresses {
			if a == address {
				return r.Service
			}
		}
	}
	return address
}
