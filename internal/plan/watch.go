package plan

import (
	"time"

	"gesalpai.ch/steady"
)

// afterGap is how long latency is not judged at least where the new release found
// nobody serving: what had waited for it comes first, and all at once.
const afterGap = 2 * time.Second

// watched is what is asked of the new release in its watch window.
func (m *move) watched() *steady.Watch {
	w := steady.DefaultWatch()
	if said := m.spec().Update.Watch; said != nil {
		w = *said
	}
	if !m.beside() {
		w.After = max(w.After, afterGap)
	}
	return &w
}
