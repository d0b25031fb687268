package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/drill"
)

// errUnfit is a drill that would show nothing, as it fails without a rollout.
var errUnfit = &steady.Error{Code: "unfit", Text: "the service is not fit for a drill"}

// drilled is what came of a drill.
type drilled struct {
	Kind     string           `json:"kind"` // "drill": what tells it from the events before it
	Project  string           `json:"project"`
	Service  string           `json:"service"`
	Target   string           `json:"target"`
	Report   drill.Report     `json:"report"`
	Receipts []steady.Receipt `json:"receipts"`
	Proxy    steady.Counts    `json:"proxy"` // what it counted for the service from the load's begin to its end, of all clients
	Verdict  string           `json:"verdict"`
}

// drill fires the load, rolls the service out under it, and tells what was lost.
func (s *session) drill(ctx context.Context, service string, f drillFlags) error {
	project, err := s.project(ctx)
	if err != nil {
		return err
	}
	spec, err := s.servingSpec(ctx, project, service)
	if err != nil {
		return err
	}
	load, url, err := drillLoad(f, spec)
	if err != nil {
		return err
	}
	if err := s.askAboutDrill(ctx, f, spec, url); err != nil {
		return err
	}
	s.say(fmt.Sprintf("load: %s %s, %g requests/s, for %s before the rollout and after it", load.Exchange.Method, url, f.rate, span(f.lead)))
	d := drilled{Kind: steady.KindDrill, Project: project, Service: service, Target: url}
	return s.underLoad(ctx, d, load, f)
}

// underLoad is a drill from the load's begin to what came of it.
func (s *session) underLoad(ctx context.Context, d drilled, load drill.Load, f drillFlags) error {
	before, err := s.counted(ctx, d.Project, d.Service)
	if err != nil {
		return err
	}
	v := drill.Start(load)
	defer v.End()
	if err := s.baseline(ctx, v, f, d, before); err != nil {
		return err
	}
	from := time.Now()
	failed := s.rehearse(ctx, &d, f)
	to := time.Now()
	if failed == nil {
		failed = s.lead(ctx, f.lead)
	}
	v.End()
	if errors.Is(failed, errInterrupted) {
		s.say("the load has ended")
		return failed
	}
	d.Report = v.Report(from, to)
	d.Verdict = d.Report.Verdict()
	if now, err := s.counted(context.WithoutCancel(ctx), d.Project, d.Service); err == nil {
		d.Proxy = now.Minus(before)
	}
	s.tellDrill(d)
	if failed != nil {
		return failed
	}
	return d.past(f.budget)
}

// servingSpec is what the serving release of a service says.
func (s *session) servingSpec(ctx context.Context, project, service string) (steady.Spec, error) {
	all, serving, err := s.backend().Releases(ctx, project)
	if err != nil {
		return steady.Spec{}, err
	}
	number, ok := serving[service]
	i := slices.IndexFunc(all, func(r steady.Release) bool { return r.Service == service && r.Number == number })
	if !ok || i < 0 {
		var known []steady.Spec
		for name := range serving {
			known = append(known, steady.Spec{Service: name})
		}
		return steady.Spec{}, noService(project, service, known)
	}
	return all[i].Spec, nil
}

// askAboutDrill says what will happen, and asks where a person can answer.
func (s *session) askAboutDrill(ctx context.Context, f drillFlags, spec steady.Spec, url string) error {
	if f.yes || !isTerminal(s.in) || !isTerminal(s.err) || s.json() {
		return nil
	}
	often := "once"
	if f.times > 1 {
		often = fmt.Sprintf("%d times", f.times)
	}
	s.say(fmt.Sprintf("%s, which serves, will be replaced by itself %s, under %g requests/s to %s", spec.Ref(), often, f.rate, url))
	if spec.Gate() == nil {
		s.warn("x-steady.hold is off: where it is replaced stop-first, visitors will miss it for a moment")
	}
	return s.confirm(ctx)
}

// lead lets the load run for a while.
func (s *session) lead(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}

// baseline lets the load run alone, and refuses to roll out what loses requests
// anyway, or what the load does not reach through the proxy.
func (s *session) baseline(ctx context.Context, v *drill.Volley, f drillFlags, d drilled, before steady.Counts) error {
	if err := s.lead(ctx, f.lead); err != nil {
		return err
	}
	ended, lost := v.Sum()
	if lost > 0 {
		return errUnfit.With(fmt.Sprintf("%s/%s loses requests without any rollout: %d of %d, the first %s", d.Project, d.Service, lost, ended, v.FirstLoss()),
			"mend that first, or choose another --path, --rate or --target")
	}
	now, err := s.counted(ctx, d.Project, d.Service)
	if err != nil {
		return err
	}
	due := int(math.Floor(f.rate * f.lead.Seconds()))
	if seen := now.Minus(before).Requests; ended < due/2 || seen < int64(ended)/2 {
		return errUnfit.With(fmt.Sprintf("the load does not reach %s/%s as it should: %d requests were due, %d are answered, and the proxy counted %d", d.Project, d.Service, due, ended, seen),
			"steady status shows where it is published; --target chooses another URL")
	}
	return nil
}

// rehearse rolls the service out as often as was asked for.
func (s *session) rehearse(ctx context.Context, d *drilled, f drillFlags) error {
	for range f.times {
		o := s.waits(d.Project, steady.Options{Who: s.who(), WaitLock: f.waitLock})
		told := s.tellWaiting(ctx)
		r, err := s.backend().Drill(ctx, d.Project, d.Service, o)
		told()
		if err != nil {
			return err
		}
		if err := s.follow(ctx, r); err != nil {
			return err
		}
		if ended, err := s.backend().Rollout(ctx, r.ID); err == nil && ended.Receipt != nil {
			d.Receipts = append(d.Receipts, *ended.Receipt)
		}
	}
	return nil
}

// counted is what the proxy has counted for the service since it began.
func (s *session) counted(ctx context.Context, project, service string) (steady.Counts, error) {
	status, err := s.backend().Status(ctx, project)
	if err != nil {
		return steady.Counts{}, err
	}
	for _, v := range status.Services {
		if v.Service == service {
			return v.Traffic, nil
		}
	}
	return steady.Counts{}, nil
}

// past is steady.ErrLossBudget where more was lost than the budget allows, by
// either count, or where the proxy's is not whole.
func (d drilled) past(b budget) error {
	var proxy steady.Receipt
	for _, r := range d.Receipts {
		proxy.Services = append(proxy.Services, r.Services...)
		proxy.Missed = append(proxy.Missed, r.Missed...)
	}
	load := steady.Losses{Requests: int64(d.Report.All.Sent), Lost: int64(d.Report.All.Lost)}
	hint := "steady plan " + d.Service + " says how it is replaced and why; steady check finds what hurts"
	past := fmt.Sprintf("the drill of %s/%s is past its loss budget of %s: ", d.Project, d.Service, b.text)
	switch {
	case !b.allows(load):
		return steady.ErrLossBudget.With(past+lossText(load), hint)
	case !b.allows(proxy.Losses()):
		return steady.ErrLossBudget.With(past+lossText(proxy.Losses())+", by the proxy's count", hint)
	case len(proxy.Missed) > 0:
		return steady.ErrLossBudget.With(fmt.Sprintf("whether the drill of %s/%s kept its loss budget of %s is not known: %s", d.Project, d.Service, b.text, missedText(proxy.Missed[0])),
			"run it again")
	}
	return nil
}
