package cli

import (
	"fmt"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// conclusion is the answer of a rollout that was done: its receipt.
func conclusion(r steady.Rollout, seen account) []string {
	e := seen.last
	var services []steady.ServiceReceipt
	if e.Receipt != nil {
		services = e.Receipt.Services
	}
	if e.State == steady.RolloutUnchanged || e.Text == "unchanged" {
		return []string{unchanged(r, seen.plan)}
	}
	if r.Kind == steady.KindDown {
		return []string{fmt.Sprintf("removed %s in %s%s", r.Project, span(took(e)), tally(services))}
	}
	verb := map[string]string{steady.KindRollback: "rolled back", steady.KindScale: "scaled", steady.KindDrill: "drilled"}[r.Kind]
	if verb == "" {
		verb = "deployed"
	}
	if len(services) == 1 {
		return []string{fmt.Sprintf("%s %s in %s%s", verb, moved(r, services[0]), span(took(e)), tally(services))}
	}
	var out []string
	for i, s := range services {
		out = append(out, fmt.Sprintf("%s %s%s", verb, moved(r, s), tally(services[i:i+1])))
	}
	return append(out, fmt.Sprintf("%s %s in %s: %s%s", verb, r.Project, span(took(e)),
		count(int64(len(services)), "service"), strings.Replace(tally(services), ":", ",", 1)))
}

// took is how long the rollout was, from its receipt where it has one.
func took(e steady.Event) time.Duration {
	if e.Receipt != nil && e.Receipt.Took > 0 {
		return e.Receipt.Took
	}
	return e.Took
}

// moved names what changed and where it stands now.
func moved(r steady.Rollout, s steady.ServiceReceipt) string {
	ref := r.Project + "/" + s.Service
	switch {
	case s.To == 0:
		return ref
	case r.Kind == steady.KindRollback:
		return fmt.Sprintf("%s to release %d", ref, s.To)
	}
	return fmt.Sprintf("%s release %d", ref, s.To)
}

func unchanged(r steady.Rollout, p steady.Plan) string {
	if len(p.Services) == 1 {
		return fmt.Sprintf("unchanged %s/%s: release %d serves", r.Project, p.Services[0].Service, p.Services[0].From)
	}
	return fmt.Sprintf("unchanged %s: nothing to do", r.Project)
}

// losses is what visitors met, added up over services and releases.
type losses struct {
	requests, lost, cut int64
	closed, cutStreams  int64
}

func add(services []steady.ServiceReceipt) losses {
	var l losses
	for _, s := range services {
		var c steady.Counts
		for _, one := range s.Releases {
			c = c.Plus(one)
		}
		d := s.Drained // counted apart from the proxy's counters: believe the worse of the two
		l.requests += c.Requests
		l.cut += max(c.Cut, int64(d.Cut))
		l.lost += max(c.Lost, int64(d.Cut))
		l.closed += max(c.StreamsClosed, int64(d.StreamsClosed))
		l.cutStreams += max(c.StreamsCut, int64(d.StreamsCut))
	}
	return l
}

// tally says what was lost. "0 lost" stands only where nothing was lost and
// nothing cut.
func tally(services []steady.ServiceReceipt) string {
	l := add(services)
	parts := []string{count(l.requests, "request")}
	switch {
	case l.lost == 0 && l.cutStreams == 0:
		parts = append(parts, "0 lost")
	case l.cut > 0:
		parts = append(parts, fmt.Sprintf("%s lost (%s cut when the drain's clock ran out)", number(l.lost), number(l.cut)))
	case l.lost > 0:
		parts = append(parts, number(l.lost)+" lost")
	}
	if l.cutStreams > 0 {
		parts = append(parts, count(l.cutStreams, "stream")+" cut")
	}
	if l.closed > 0 {
		parts = append(parts, count(l.closed, "stream")+" closed in order when the drain's clock ran out")
	}
	return ": " + strings.Join(parts, ", ")
}

// drainText tells how one replica's drain went.
func drainText(d steady.Drained) string {
	if d.Requests == 0 && d.Streams == 0 {
		return "nothing in flight"
	}
	var parts []string
	if d.Requests > 0 {
		text := count(int64(d.Requests), "request") + ", longest " + span(d.Longest)
		if d.Cut > 0 {
			text += ", " + number(int64(d.Cut)) + " cut"
		}
		parts = append(parts, text)
	}
	if d.Streams > 0 {
		text := count(int64(d.Streams), "stream") + ", " + number(int64(d.StreamsEnded)) + " ended"
		if d.StreamsClosed > 0 {
			text += ", " + number(int64(d.StreamsClosed)) + " closed"
		}
		if d.StreamsCut > 0 {
			text += ", " + number(int64(d.StreamsCut)) + " cut"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
