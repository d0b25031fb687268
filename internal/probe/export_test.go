package probe

import "gesalpai.ch/steady/internal/listen"

// Listening has the prober see these sockets in every container's network namespace.
func Listening(p *Prober, all func() []listen.Socket) *Prober {
	p.listening = func(int, string) ([]listen.Socket, error) { return all(), nil }
	return p
}
