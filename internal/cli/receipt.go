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
	var receipt steady.Receipt
	if e.Receipt != nil {
		receipt = *e.Receipt
	}
	services := receipt.Services
	if e.State == steady.RolloutUnchanged || e.Text == "unchanged" {
		return []string{unchanged(r, seen.plan)}
	}
	if r.Kind == steady.KindRecovery {
		return []string{"recovered " + r.Project + ": " + e.Text}
	}
	if r.Kind == steady.KindDown {
		return []string{fmt.Sprintf("removed %s in %s%s", r.Project, span(took(e)), tallied(receipt))}
	}
	verb := map[string]string{steady.KindRollback: "rolled back", steady.KindScale: "scaled", steady.KindDrill: "drilled"}[r.Kind]
	if verb == "" {
		verb = "deployed"
	}
	if len(services) == 1 {
		return []string{fmt.Sprintf("%s %s in %s%s", verb, moved(r, services[0]), span(took(e)), tallied(receipt))}
	}
	var out []string
	for i, s := range services {
		one := receipt
		one.Services = services[i : i+1]
		out = append(out, fmt.Sprintf("%s %s%s", verb, moved(r, s), tallied(one)))
	}
	return append(out, fmt.Sprintf("%s %s in %s: %s%s", verb, r.Project, span(took(e)),
		count(int64(len(services)), "service"), strings.Replace(tallied(receipt), ":", ",", 1)))
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

// tally says what was lost. "0 lost" stands only where nothing was lost and
// nothing cut.
func tally(services []steady.ServiceReceipt) string {
	return tallied(steady.Receipt{Services: services})
}

// tallied is the same of a whole receipt, and says where some was not counted.
func tallied(r steady.Receipt) string {
	l := r.Losses()
	parts := []string{count(l.Requests, "request")}
	switch {
	case l.Sum() == 0 && len(r.Missed) > 0:
		parts = append(parts, "none lost of what was counted")
	case l.Sum() == 0:
		parts = append(parts, "0 lost")
	case l.Cut > 0:
		parts = append(parts, fmt.Sprintf("%s lost (%s cut when the drain's clock ran out)", number(l.Lost), number(l.Cut)))
	case l.Lost > 0:
		parts = append(parts, number(l.Lost)+" lost")
	}
	if l.StreamsCut > 0 {
		parts = append(parts, count(l.StreamsCut, "stream")+" cut")
	}
	if l.StreamsQuiet > 0 {
		parts = append(parts, count(l.StreamsQuiet, "stream")+" ended quietly")
	}
	if l.StreamsClosed > 0 {
		parts = append(parts, count(l.StreamsClosed, "stream")+" closed in order when the drain's clock ran out")
	}
	return ": " + strings.Join(parts, ", ")
}

// drainText tells how one replica's drain went.
func drainText(d steady.Drained) string {
	if d.Requests == 0 && d.Streams == 0 && d.Flows == 0 {
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
		if d.StreamsQuiet > 0 {
			text += ", " + number(int64(d.StreamsQuiet)) + " quiet"
		}
		if d.StreamsCut > 0 {
			text += ", " + number(int64(d.StreamsCut)) + " cut"
		}
		parts = append(parts, text)
	}
	if d.Flows > 0 {
		text := count(int64(d.Flows), "flow") + ", " + number(int64(d.Flows-d.FlowsMoved)) + " ended"
		if d.FlowsMoved > 0 {
			text += ", " + number(int64(d.FlowsMoved)) + " moved"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
