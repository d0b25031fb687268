package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

// eventsIn are the events that a command told with --json. A line that tells of
// none, as that of an error does, is left out.
func eventsIn(t testing.TB, out string) []steady.Event {
	t.Helper()
	var all []steady.Event
	for line := range strings.Lines(out) {
		var e steady.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("event %q: %v", line, err)
		}
		if e.Kind != "" {
			all = append(all, e)
		}
	}
	return all
}

// eventsOf are a rollout's, as steady watch --json tells them.
func (h *host) eventsOf(rollout int) []steady.Event {
	h.t.Helper()
	return eventsIn(h.t, h.steady("watch", strconv.Itoa(rollout), "--json").out)
}
