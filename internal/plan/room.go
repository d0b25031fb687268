package plan

import (
	"encoding/json"

	"gesalpai.ch/steady"
)

// roomy says whether the host's memory holds all old and all new replicas at once,
// as far as limits tell: a replica without one counts nothing, and so does a host
// that does not say what it has.
func (b *builder) roomy() bool {
	if b.in.Observed.Memory == 0 {
		return true
	}
	var all int64
	for _, r := range b.in.Observed.Replicas {
		if r.Running() {
			all += r.Limits.Memory
		}
	}
	for _, m := range b.moves {
		for _, name := range m.fresh {
			if c, there := b.in.Observed.Named(name); m.beside() && !(there && c.Running()) {
				all += memoryLimit(m.spec())
			}
		}
	}
	return all <= b.in.Observed.Memory
}

// memoryLimit is what one replica of the spec may take, in bytes; 0: no limit.
func memoryLimit(s steady.Spec) int64 {
	var c struct{ HostConfig struct{ Memory int64 } }
	if json.Unmarshal(s.Container, &c) != nil {
		return 0
	}
	return c.HostConfig.Memory
}
