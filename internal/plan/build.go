// Package plan turns a target and what was observed into a steady.Plan. It is
// pure: it decides and does not act.
package plan

import (
	"fmt"
	"slices"

	"gesalpai.ch/steady"
)

// Input is all that a plan follows from.
type Input struct {
	Project  string
	Kind     string // of the rollout; empty: a deploy
	Targets  []Target
	Observed steady.Observed
	Serving  map[string]steady.Release // by service
	Routes   []steady.Route            // in force
	Callers  []steady.Caller           // who has streams open
	Options  steady.Options
	Warm     []steady.Warm    // releases that are kept running, un-routed
	Past     []steady.Receipt // of the project's rollouts that were done, newest first

	// Volumes are the project's anonymous volumes, as they are remembered: a later one
	// takes the place of an earlier.
	Volumes []steady.AnonymousVolume
}

// Build plans a deploy, a rollback or a scaling: they differ in their targets
// only. A target whose image is not known yet (Image.ID is empty) gets a pull or
// build step; plan again once that is done, as the image may be the serving one.
func Build(in Input) (steady.Plan, error) {
	specs := specsOf(in.Targets, in.Serving)
	in.Targets, in.Routes = ordered(in.Targets, specs), undivided(in)
	p := steady.Plan{Project: in.Project, Before: in.Routes}
	b := builder{in: in, plan: &p, specs: specs, ready: map[string][]string{}, built: built(in), laid: map[string]bool{}, gone: map[string][]string{}}
	b.strays()
	if err := b.shareable(); err != nil {
		return steady.Plan{}, err
	}
	all, err := b.decideAll()
	if err != nil {
		return steady.Plan{}, err
	}
	for _, m := range all {
		if m.open {
			b.choose(m)
		}
	}
	if err := b.handovers(); err != nil {
		return steady.Plan{}, err
	}
	for _, m := range all {
		b.recall(m)
		m.Reach = b.reaches(m)
		m.Orphan = slices.Contains(Orphans(in), m.Service)
		p.Services = append(p.Services, m.ServicePlan)
	}
	b.settleOrphans()
	b.steps()
	b.record()
	return p, nil
}

// decideAll decides what becomes of each target, but for the strategies of those that
// are replaced.
func (b *builder) decideAll() ([]*move, error) {
	var all []*move
	for _, t := range b.in.Targets {
		m, err := b.decide(t)
		if err != nil {
			return nil, err
		}
		b.noteShares(m)
		all = append(all, m)
		if m.Strategy != steady.StrategyKeep {
			b.moves = append(b.moves, m)
		}
	}
	return all, nil
}

// Changed says which of the targets a plan would touch by making a new release
// of them: neither unchanged nor merely scaled.
func Changed(in Input) (map[string]bool, error) {
	p, err := Build(in)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, s := range p.Services {
		out[s.Service] = s.Strategy != steady.StrategyKeep && s.Strategy != steady.StrategyScale
	}
	return out, nil
}

// move is one service's part of the plan in the making.
type move struct {
	steady.ServicePlan
	target steady.Release
	fresh  []string         // names of the new replicas
	old    []steady.Replica // what the new ones replace, routed or not
	image  string           // StepPull, StepBuild or shared where the image is still to come
	moved  bool             // the ports are not those of the route in force
	awake  bool             // its replicas run already, warm: there is only to shift
	open   bool             // it is replaced, by a strategy that is chosen when all are known that are
	same   bool             // it is replaced by containers of the release that serves
	joined bool             // it is replaced together with others, as they share namespaces or volumes
	why    string           // it is replaced though nothing of its own has changed; empty: not so

	mounts [][]steady.AnonymousVolume // of each new replica

	heir     bool    // it takes addresses over from another service
	late     bool    // replaced old first, and behind the common shift: others take addresses over from it there
	replaces []*move // orphans that must have stopped before its new replicas start

	lent     steady.Route // what the last shift laid out says, where old replicas are asked for assets
	disowned int          // shifts that took such replicas away
}

func (m *move) spec() steady.Spec { return m.target.Spec }

// held says whether the service's names belong to a holder.
func (m *move) held() bool {
	held, _ := m.spec().Held()
	return held
}

// routed says whether traffic of the service comes through the proxy at all.
func (m *move) routed() bool { return len(m.spec().Ports)+len(m.spec().Routes) > 0 || m.held() }

// enters says whether old replicas that run have the service's names themselves.
// The holder then comes in between: the names must not be its own before it can
// pass on what comes to them, so it comes right before the shift.
func (b *builder) enters(m *move) bool {
	now, _ := b.route(m.Service)
	return m.held() && !now.Held && slices.ContainsFunc(m.old, steady.Replica.Running)
}

// early says whether the service has its shift already, before the common one:
// nothing of it served, and others wait for it.
func (m *move) early() bool { return m.Strategy == steady.StrategyStart && m.held() }

// beside says whether old and new run side by side until one common shift.
func (m *move) beside() bool {
	return !away(m.Strategy) && m.Strategy != steady.StrategyJob
}

// adopts says whether containers that are not ours publish the ports until the new
// replicas, which stand beside them, have taken over; an adoption that was left
// half-way goes on as a scaling.
func (m *move) adopts() bool {
	return m.beside() && slices.ContainsFunc(m.old, func(r steady.Replica) bool { return r.Running() && len(r.Published) > 0 })
}

type builder struct {
	in     Input
	plan   *steady.Plan
	moves  []*move
	ready  map[string][]string // service → the steps after which others may call it
	last   []string            // shifts and watches of the stage before
	served []string            // the steps after which every new release serves and is watched
	hooks  []string            // the last hook before anything new is created
	specs  []steady.Spec       // of the project: to come, and serving where nothing is to come
	gone   map[string][]string // service → the steps after which nothing old of it runs, where it goes first
	laid   map[string]bool     // service → its part that no visitor can see is laid out
	built  map[string]string   // image reference → service whose build makes it

	orphans []*move            // services that are not in the files any more
	heirs   map[string][]*move // service → those that take addresses over from it
}

func (b *builder) add(s steady.Step) string {
	s.Needs = slices.Compact(slices.Sorted(slices.Values(s.Needs)))
	b.plan.Steps = append(b.plan.Steps, s)
	return s.ID
}

func (b *builder) route(service string) (steady.Route, bool) {
	i := slices.IndexFunc(b.in.Routes, func(r steady.Route) bool { return r.Service == service })
	if i < 0 {
		return steady.Route{}, false
	}
	return b.in.Routes[i], true
}

// steps lays the moves out. Hooks that must run before anything new come first, with
// what they wait for. Jobs and what stands beside the old come first; then
// what needs a gap, so that the gap begins when all else is ready; then the one
// shift; then, batch by batch, the rest; and removing comes last of all, so that
// everything before it can be undone.
func (b *builder) steps() {
	b.cools()
	for _, m := range b.moves {
		b.image(m)
	}
	b.before()
	for _, m := range b.moves {
		b.lay(m)
	}
	b.asksLenders()
	b.exchanges(false, b.barrier())
	b.shifts()
	b.retireOrphans()
	b.removes()
	b.handOver()
	b.afters()
}

func (b *builder) image(m *move) {
	if m.image == "" || m.image == shared {
		return
	}
	b.add(steady.Step{ID: m.Service + "/" + m.image, Kind: m.image, Service: m.Service, Release: m.To, Cause: imageCause(b.in, m)})
}

// imageStep says how the target's image must be brought, "" when it is there.
func imageStep(in Input, t Target) (string, error) {
	s, o := t.Release.Spec, in.Options
	if t.Bring != "" {
		return t.Bring, nil
	}
	if t.Release.Image.ID != "" {
		return "", nil
	}
	_, here := in.Observed.Images[s.Image]
	buildable := s.Build != nil
	switch {
	case buildable && (o.Build && t.Asked || s.PullPolicy == "build" || !here && s.PullPolicy != "always"):
		return steady.StepBuild, nil
	case !buildable && o.Pull && t.Asked && s.PullPolicy != "never", s.PullPolicy == "always":
		return steady.StepPull, nil
	case here:
		return "", nil
	case s.PullPolicy == "never":
		return "", steady.ErrNoImage.With(fmt.Sprintf("image %s of service %s is not on this machine, and pull_policy is never", s.Image, s.Service), "docker pull "+s.Image)
	}
	return steady.StepPull, nil
}

func (b *builder) imageStep(t Target) (string, error) {
	s := t.Release.Spec
	if s.Build == nil && t.Release.Image.ID == "" && b.built[s.Image] != "" {
		return shared, nil
	}
	return imageStep(b.in, t)
}

func imageCause(in Input, m *move) string {
	if m.target.Image.ID != "" {
		return "the image of the release is gone, and comes back by its digest"
	}
	if _, here := in.Observed.Images[m.spec().Image]; !here {
		return m.spec().Image + " is not on this machine"
	}
	return "asked for"
}
