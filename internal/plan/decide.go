package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// decide chooses the strategy of one service and says why.
func (b *builder) decide(t Target) (*move, error) {
	spec := t.Release.Spec
	serving := b.in.Serving[spec.Service]
	if b.in.Kind == steady.KindRollback && spec.Rollback != nil {
		t.Release.Spec.Update = *spec.Rollback
		spec = t.Release.Spec
	}
	m := &move{target: t.Release, ServicePlan: steady.ServicePlan{
		Service: spec.Service, From: serving.Number, To: t.Release.Number, Replicas: spec.Replicas, Rules: spec.Routes, OnFail: spec.Update.FailureAction,
	}}
	_, m.Direct = spec.Held()
	m.Stays = t.Stays
	if dir := serving.Spec.WorkingDir; t.Asked && dir != spec.WorkingDir && b.in.Kind != steady.KindRollback && serving.Number > 0 {
		m.Elsewhere = dir
	}
	how, err := b.imageStep(t)
	if err != nil {
		return nil, err
	}
	m.image = how
	if how == "" && m.target.Image.ID == "" {
		m.target.Image = b.in.Observed.Images[spec.Image]
	}
	running := slices.ContainsFunc(b.in.Observed.Of(spec.Service), steady.Replica.Running)
	m.why = b.follows(t)
	if !t.Asked && running && m.why == "" {
		m.image = ""
		return m.keep("runs already and was not asked for"), nil
	}
	if how == "" && serving.Number > 0 && serving.Same(m.target) && !b.in.Options.Force && m.why == "" {
		cause := b.unchanged(m, m.target)
		if b.in.Kind == steady.KindRollback {
			m.Same = m.target.Number
		}
		m.target = serving
		m.target.Spec.Replicas = spec.Replicas
		m.To = serving.Number
		b.mounted(m)
		b.settle(m, cause)
		return m, nil
	}
	m.Once = !serving.Done.IsZero() && spec.Once()
	m.fresh = names(m.target)
	m.old = without(b.in.Observed.Of(spec.Service), m.fresh)
	if b.rehearses() {
		m.old = b.unneeded(m.old)
	}
	if err := b.inherits(m); err != nil {
		return nil, err
	}
	now, routed := b.route(spec.Service)
	m.moved = routed && (!slices.Equal(now.Ports, spec.Ports) || !slices.Equal(now.Rules, spec.Routes))
	b.mounted(m)
	b.differs(m, serving)
	m.open = true
	return m, nil
}

// choose chooses the strategy of a move, once it is known which others are replaced.
func (b *builder) choose(m *move) {
	m.joined = len(b.unit(m)) > 1
	b.strategy(m)
	if m.same {
		m.Notice = notice(m)
		return
	}
	b.tries(m)
	b.warmth(m)
	m.Notice = noticed(notice(m), b.reach(m))
	b.foretell(m)
}

// noticed joins what visitors notice of the move and of its addresses.
func noticed(move, addresses string) string {
	switch {
	case addresses == "":
		return move
	case move == nothing:
		return addresses
	}
	return move + "; " + addresses
}

// differs notes what is new in the target.
func (b *builder) differs(m *move, serving steady.Release) {
	if serving.Number == 0 {
		return
	}
	switch m.Changes = changes(serving, m.target); {
	case len(m.Changes) > 0:
	case m.why != "":
		m.Changes = []string{"nothing of its own: " + m.why}
	case b.in.Options.Force:
		m.Changes = []string{"nothing: --force asks for it"}
	}
}

func (m *move) keep(cause string) *move {
	m.Strategy, m.Cause, m.Notice, m.To = steady.StrategyKeep, cause, nothing, m.From
	m.Volumes, m.mounts = nil, nil
	return m
}

// nothing is what a visitor notices of most moves.
const nothing = "nothing"

// mostUnseen is how many mounts that were not looked at are named.
const mostUnseen = 5

// unchanged is why a service stays as it is. What was not looked at is named.
func (b *builder) unchanged(m *move, target steady.Release) string {
	cause := "same files, same environment, same image"
	var seen bool
	var unseen []string
	for _, c := range target.Spec.Contents {
		seen = seen || c.Sum != ""
		if c.Unseen != "" {
			unseen = append(unseen, fmt.Sprintf("%s (%s)", c.Name(target.Spec.WorkingDir), c.Unseen))
		}
	}
	if seen {
		cause += ", same mounted files"
	}
	if more := len(unseen) - mostUnseen; more > 0 {
		unseen = append(unseen[:mostUnseen], fmt.Sprintf("%d more", more))
	}
	if len(unseen) > 0 {
		cause += "; not looked at: " + strings.Join(unseen, ", ")
	}
	if b.in.Kind != steady.KindRollback || target.Number == m.From {
		return cause
	}
	if len(m.Stays) > 0 {
		return fmt.Sprintf("release %d differs from release %d, which serves, in %s only, and a rollback does not bring that back: put it right on this machine, then steady deploy",
			target.Number, m.From, strings.Join(m.Stays, ", "))
	}
	return fmt.Sprintf("release %d is the same as release %d, which serves: %s", target.Number, m.From, cause)
}

// settle plans a service whose release already serves: its number of replicas
// may differ, some may have died, others may be left over. unchanged is why nothing is
// done where nothing is to do.
func (b *builder) settle(m *move, unchanged string) {
	r, _ := b.route(m.Service)
	m.fresh = names(m.target)
	seen := b.in.Observed.Of(m.Service)
	m.old = b.unneeded(without(seen, m.fresh))
	dead := 0
	for _, n := range m.fresh {
		if c, ok := b.in.Observed.Named(n); !ok || !c.Running() || !slices.Contains(r.Replicas, n) {
			dead++
		}
	}
	if m.ran() {
		m.keep("it runs once, and has: exit code 0")
		return
	}
	gap := b.gap(m)
	back := m.comesBack(r)
	if m.spec().Job || dead == 0 && len(m.old) == 0 && !r.Redirect && gap == "" && back == "" {
		m.keep(unchanged)
		return
	}
	if dead > 0 && (dead == m.Replicas || m.owned() != "") && m.displaced() {
		m.open, m.same = true, true
		return
	}
	m.Strategy = steady.StrategyScale
	m.Cause = fmt.Sprintf("same release, %d of %d replicas are there", m.Replicas-dead, m.Replicas)
	if len(m.old) > 0 {
		m.Cause += fmt.Sprintf(", %d too many", len(m.old))
	}
	if gap != "" {
		m.Cause += ", " + gap
	}
	if back != "" {
		m.Cause += ", " + back
	}
	m.Notice = notice(m)
}

// comesBack says what the service is to have again that another one had taken over from
// it; empty for nothing.
func (m *move) comesBack(r steady.Route) string {
	for _, p := range m.spec().Ports {
		if p.Published > 0 && r.Service != "" && !slices.ContainsFunc(r.Ports, p.Meets) {
			return fmt.Sprintf("port %s comes back to it", steady.PortRange{Port: p})
		}
	}
	for _, q := range m.spec().Routes {
		if r.Service != "" && !slices.ContainsFunc(r.Rules, func(had steady.Rule) bool { return had.Name() == q.Name() }) {
			return q.Name() + " comes back to it"
		}
	}
	return ""
}

// gap says what somebody has taken from under a service that serves: its holder, or a
// network of that or of a replica. Empty where all is there.
func (b *builder) gap(m *move) string {
	if in, there := b.in.Observed.Holders[m.Service]; m.held() && b.in.Observed.Holders != nil {
		if !there {
			return "its holder does not run"
		}
		if n := m.spec().Lacks(in); n != "" {
			return "its holder is not in network " + n
		}
	}
	for _, name := range m.fresh {
		if n := b.lacks(m, name); n != "" {
			return name + " is not in network " + n
		}
	}
	return ""
}

// lacks names a network that a replica which runs is to be in and is not.
func (b *builder) lacks(m *move, name string) string {
	c, there := b.in.Observed.Named(name)
	if !there || !c.Running() || c.Networks == nil {
		return ""
	}
	return m.spec().Lacks(c.Networks)
}

// displaced says whether something else than the target runs in its place, as
// after a docker compose up: then the two must be exchanged like two releases.
func (m *move) displaced() bool {
	return slices.ContainsFunc(m.old, func(r steady.Replica) bool { return r.Running() && r.Release != m.To })
}

// ran says whether the target is of a service that runs once, and has run to its end.
func (m *move) ran() bool { return m.spec().Once() && !m.target.Done.IsZero() }

func (b *builder) strategy(m *move) {
	spec := m.spec()
	order := spec.Update.Order
	solo := b.solo(m)
	switch {
	case b.in.Kind == steady.KindRollback && m.ran():
		m.Strategy, m.Cause, m.fresh, m.Replicas = steady.StrategyOverlap, "it runs once, and has for this release: a rollback does not run it again", nil, 0
	case len(m.replaces) > 0:
		b.exchanged(m, solo)
	case spec.Job:
		m.Strategy, m.Cause = steady.StrategyJob, "other services wait until it has completed"
	case !m.runs() && !b.awaits(m):
		m.Strategy, m.Cause = steady.StrategyStart, "nothing of it runs"
	case b.together(m) != "":
		b.exchanged(m, b.together(m))
	case solo != "":
		b.exchanged(m, solo)
	case slices.ContainsFunc(m.old, func(r steady.Replica) bool { return r.Running() && len(r.Published) > 0 }):
		m.Strategy, m.Cause = steady.StrategyAdopt, "a container that Docker Compose made publishes the port itself; from then on steady does"
	case len(spec.Ports) == 0 && len(spec.Routes) == 0:
		m.Strategy, m.Cause = steady.StrategyOverlap, "no published port: old and new overlap, the old one ends in its own time"
	default:
		m.Strategy, m.Cause = steady.StrategyStartNew, "stateless: the new one stands beside the old one until it is ready"
		if order == "" {
			m.Cause += " (Compose's default would be stop-first)"
		}
	}
	if m.why != "" && m.runs() && !away(m.Strategy) {
		m.Cause = m.why + "; " + m.Cause
	}
}

// runs says whether something runs that the move replaces.
func (m *move) runs() bool { return slices.ContainsFunc(m.old, steady.Replica.Running) }

// solo says why the old replicas of a move must go before the new ones start, or
// nothing.
func (b *builder) solo(m *move) string {
	order := m.spec().Update.Order
	switch {
	case len(m.replaces) > 0:
		return m.replaces[0].Service + ", which it takes the place of, writes to the same volume"
	case !m.runs() || m.spec().Job:
		return ""
	case order == steady.StopFirst:
		return "update_config.order says so"
	case order == steady.StrategyHold:
		return "x-steady.strategy says so"
	case m.owned() != "":
		return m.owned()
	case b.borrowed(m) != "":
		return b.borrowed(m)
	case order != steady.StartFirst && alone(m.spec()) != "":
		return alone(m.spec())
	case order == "":
		return b.crowded(m)
	}
	return ""
}

// alone says why no second replica of the service may run beside the first, or
// nothing.
func alone(s steady.Spec) string {
	switch {
	case len(s.State) > 0 && s.Replicas <= 1:
		return "one replica writes to " + strings.Join(s.State, ", ")
	case len(s.State) > 0 && steady.Database(s.Image) != "" && s.Build == nil:
		return fmt.Sprintf("%s: two of it must never run on %s", steady.Database(s.Image), strings.Join(s.State, ", "))
	case s.NetworkMode == "host":
		return "network_mode: host leaves no room for a second one"
	case tunnels(s):
		return "it has /dev/net/tun: two of it would be one and the same end of a tunnel"
	}
	if held, _ := s.Held(); held { // the holder has its address
		return ""
	}
	for _, n := range s.Networks {
		if ip := static(n); ip != "" {
			return "it has a fixed address, " + ip
		}
	}
	return ""
}

// tunnels says whether the service is given the device with which programs make
// tunnels, as a VPN's client is.
func tunnels(s steady.Spec) bool {
	var c struct {
		HostConfig struct{ Devices []struct{ PathOnHost string } }
	}
	if json.Unmarshal(s.Container, &c) != nil {
		return false
	}
	return slices.ContainsFunc(c.HostConfig.Devices, func(d struct{ PathOnHost string }) bool { return d.PathOnHost == "/dev/net/tun" })
}

// static is the address the file gives the service in the network, if it does.
func static(n steady.Network) string {
	var e struct {
		IPAMConfig struct{ IPv4Address, IPv6Address string }
	}
	if json.Unmarshal(n.Endpoint, &e) != nil {
		return ""
	}
	if e.IPAMConfig.IPv4Address != "" {
		return e.IPAMConfig.IPv4Address
	}
	return e.IPAMConfig.IPv6Address
}

// notice says what a visitor will notice of the move.
func notice(m *move) string {
	if m.Replicas == 0 && len(m.spec().Ports)+len(m.spec().Routes) > 0 {
		return "nobody answers: no replica is asked for"
	}
	switch m.Strategy {
	case steady.StrategyHold:
		return heldNotice(m.spec())
	case steady.StrategyStopFirst:
		return "the gap between the old one's stop and the new one's start"
	case steady.StrategyCanary:
		return trialNotice(m.spec().Canary)
	case steady.StrategyAdopt:
		return "nothing, but for connections that a client still keeps open to the old container when it stops, once"
	}
	return nothing
}

func names(r steady.Release) []string {
	var out []string
	for n := range r.Spec.Replicas {
		out = append(out, r.ReplicaName(n+1))
	}
	return out
}

func without(all []steady.Replica, names []string) []steady.Replica {
	return slices.DeleteFunc(all, func(r steady.Replica) bool { return slices.Contains(names, r.Name) })
}
