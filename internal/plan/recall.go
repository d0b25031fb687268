package plan

import "gesalpai.ch/steady"

// recall finds how it went the last time that the service was replaced like this.
func (b *builder) recall(m *move) {
	if m.Strategy == steady.StrategyKeep {
		return
	}
	for _, r := range b.in.Past {
		if s, ok := r.Of(m.Service); ok && s.Strategy == m.Strategy {
			last := r.LastTime(m.Service)
			m.Last, m.Gap = &last, last.Gap
			return
		}
	}
}
