package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// tries makes a move that shifts all at once a canary, where the file wants one, or
// adds to its cause why it is none.
func (b *builder) tries(m *move) {
	if m.spec().Canary == nil {
		return
	}
	switch m.Strategy {
	case steady.StrategyStart, steady.StrategyKeep, steady.StrategyScale:
		return // there is nothing to try it out against
	}
	if why := b.untried(m); why != "" {
		m.Cause += "; no canary: " + why
		return
	}
	m.Strategy, m.Cause = steady.StrategyCanary, "x-steady.canary: the new one is tried out beside the old one before it gets all"
}

// untried says why a move cannot be a canary, or nothing.
func (b *builder) untried(m *move) string {
	now, _ := b.route(m.Service)
	standing := func(name string) bool {
		c, ok := b.in.Observed.Named(name)
		return ok && c.Running()
	}
	switch {
	case b.in.Kind == steady.KindRollback:
		return "a rollback goes at once"
	case b.rehearses():
		return "a drill goes at once"
	case m.Strategy == steady.StrategyJob:
		return "a job takes no traffic"
	case m.Strategy == steady.StrategyAdopt:
		return "the old one is not steady's yet"
	case m.Strategy != steady.StrategyStartNew && m.Strategy != steady.StrategyOverlap:
		return "it needs old and new side by side"
	case m.From == 0 || m.From == m.To || !slices.ContainsFunc(now.Replicas, standing):
		return "no earlier release serves"
	case m.moved:
		return "ports or routes are others than before"
	case len(m.fresh) == 0:
		return "no replica is asked for"
	case len(now.Ports)+len(now.Rules) == 0 && !now.Held:
		return "no traffic of it comes through steady"
	}
	return ""
}

// tried are the moves that are canaries.
func (b *builder) tried() []*move {
	return slices.DeleteFunc(slices.Clone(b.moves), func(m *move) bool { return m.Strategy != steady.StrategyCanary })
}

// canaries lays out the stages: in each, one shift for all services that are tried
// out, so that who has the new release of one has that of the others too, and behind
// it their watches. A service that has taken its last step stays there until the
// others have taken theirs.
func (b *builder) canaries(needs []string) {
	tried := b.tried()
	stage := steady.Stage{}
	for _, m := range tried {
		c := m.spec().Canary
		stage.Of, stage.For, stage.Manual = max(stage.Of, len(c.Steps)), max(stage.For, c.Every), stage.Manual || c.Manual
	}
	for stage.Number = 1; stage.Number <= stage.Of; stage.Number++ {
		this := stage
		var routes []steady.Route
		for _, m := range tried {
			r := b.sharing(m, this.Number)
			routes = append(routes, r)
			this.Shares = append(this.Shares, steady.Share{Service: m.Service, Release: m.To, Percent: r.Split.Percent})
		}
		id := b.add(steady.Step{ID: fmt.Sprintf("canary/%d", this.Number), Kind: steady.StepShift, Needs: needs, Routes: routes, Stage: &this})
		needs = nil
		for _, m := range tried {
			needs = append(needs, b.add(steady.Step{ID: fmt.Sprintf("%s/canary/%d", m.Service, this.Number), Kind: steady.StepWatch,
				Service: m.Service, Release: m.To, For: this.For, Stage: &this, Watch: m.watched(), Needs: []string{id}}))
		}
	}
	if len(tried) > 0 {
		b.last = append(b.last, needs...)
	}
}

// sharing is the route in force with the new replicas beside those that serve. The
// old release is the serving one until all goes to the new one.
func (b *builder) sharing(m *move, stage int) steady.Route {
	c := m.spec().Canary
	r, _ := b.route(m.Service)
	r.Replicas = slices.Concat(r.Replicas, m.fresh)
	r.Split = &steady.Split{Release: m.To, Percent: c.Steps[min(stage, len(c.Steps))-1], Header: c.Header, Cookie: c.Cookie}
	return r
}

// trialNotice says what a visitor notices of a canary.
func trialNotice(c *steady.Canary) string {
	var shares []string
	for _, p := range c.Steps {
		shares = append(shares, steady.PercentText(p))
	}
	each := shortTime(c.Every) + " each"
	if c.Manual {
		each = "each until somebody promotes it"
	}
	return fmt.Sprintf("%s of them get the new release, %s, before all do", strings.Join(shares, ", then "), each)
}

// shortTime is "2m" where a duration prints as "2m0s".
func shortTime(d time.Duration) string {
	text := d.String()
	if d >= time.Minute {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
