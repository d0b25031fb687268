package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gesalpai.ch/steady"
)

func (s *session) planCommand() *cobra.Command {
	var o steady.Options
	var detailed bool
	c := &cobra.Command{
		Use:               "plan [SERVICE...]",
		Short:             "Show what deploy would do, and why",
		Long:              "Show what deploy would do, in which order and why. Nothing is touched.",
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			chosen, err := s.choose(c.Context(), args, o.NoDeps)
			if err != nil {
				return err
			}
			o.Services, o.Declared, o.Who = chosen.names, chosen.declared, s.who()
			return s.showPlan(c.Context(), chosen.specs, o, detailed)
		},
	}
	addDetailed(c.Flags(), &detailed)
	s.removeOrphansFlag(c.Flags(), &o.RemoveOrphans)
	c.Flags().BoolVar(&o.Build, "build", false, "plan as deploy --build would")
	c.Flags().BoolVar(&o.Pull, "pull", false, "plan as deploy --pull would")
	c.Flags().BoolVar(&o.NoDeps, "no-deps", false, "plan as deploy --no-deps would")
	c.Flags().BoolVar(&o.Force, "force", false, "plan as deploy --force would")
	return c
}

// addDetailed adds the flag with which a script learns what a plan says.
func addDetailed(f *pflag.FlagSet, detailed *bool) {
	f.BoolVar(detailed, "detailed-exitcode", false, "exit 22 where the plan has something to do, 0 where it has not")
}

func (s *session) showPlan(ctx context.Context, specs []steady.Spec, o steady.Options, detailed bool) error {
	p, err := s.backend().Plan(ctx, specs, o)
	if err != nil {
		return err
	}
	if s.json() {
		s.print(object(p))
	} else {
		for _, w := range warnings(p) {
			s.warn(w)
		}
		_, err = fmt.Fprint(s.out, planText(p, s.outStyle(), time.Now()))
	}
	if err == nil && detailed && p.Changes() {
		return errChanges
	}
	return err
}

// planText is a plan for a person: what happens to each service and why, then
// the steps in order.
func planText(p steady.Plan, y style, now time.Time) string {
	var b strings.Builder
	for _, v := range p.Services {
		fmt.Fprintf(&b, "%s\n", y.bold(planHead(p.Project, v)))
		fmt.Fprintf(&b, "  cause   %s\n  notice  %s\n", orDash(v.Cause), orDash(noticed(v)))
		for _, c := range v.Changes {
			fmt.Fprintf(&b, "  changes %s\n", c)
		}
		for _, f := range v.Stays {
			fmt.Fprintf(&b, "  stays   %s is as it is now: a rollback does not bring it back\n", f)
		}
		if v.Last != nil {
			fmt.Fprintf(&b, "  last    %s\n", lastText(*v.Last, now))
		}
		if len(v.Reconnects) > 0 {
			fmt.Fprintf(&b, "  again   %s\n", reconnects(v))
		}
		if v.Direct != "" && v.Strategy != steady.StrategyKeep {
			fmt.Fprintf(&b, "  direct  calls by its name go to its replicas, not through steady: %s\n", v.Direct)
		}
		if text := warmText(v); text != "" {
			fmt.Fprintf(&b, "  warm    %s\n", text)
		}
		for _, vol := range v.Volumes {
			fmt.Fprintf(&b, "  volume  %s\n", volumeText(vol))
		}
		for _, r := range v.Rules {
			fmt.Fprintf(&b, "  route   %s\n", ruleText(r))
		}
	}
	if !p.Changes() {
		b.WriteString("unchanged: nothing to do\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s\n", y.bold("steps"))
	var rows [][]string
	for i, st := range p.Steps {
		rows = append(rows, []string{fmt.Sprintf("  %3d", i+1), st.Kind, orDash(st.Service), planned(p.Project, st)})
	}
	b.WriteString(table(rows))
	return b.String()
}

// volumeText says what becomes of the anonymous volumes at one path.
func volumeText(v steady.VolumePlan) string {
	names := make([]string, len(v.Names))
	for i, n := range v.Names {
		if names[i] = n; steady.Unnamed(n) {
			names[i] = n[:12]
		}
	}
	text := fmt.Sprintf("%s: anonymous volume %s", v.Path, strings.Join(names, ", "))
	switch v.Change {
	case steady.VolumeNew:
		return text + ", new"
	case steady.VolumeLeft:
		return text + " is kept and not mounted: " + v.Cause
	}
	return text + ", carried over"
}

// reconnects says who has streams open that may not outlive the rollout.
func reconnects(v steady.ServicePlan) string {
	var who []string
	for _, r := range v.Reconnects {
		who = append(who, fmt.Sprintf("%s (%s)", r.Client, count(int64(r.Streams), "stream")))
	}
	if v.StreamClock == 0 {
		return strings.Join(who, ", ") + ": must connect again"
	}
	if v.StreamClock < 0 {
		return strings.Join(who, ", ") + ": the old replicas wait until they have ended"
	}
	return fmt.Sprintf("%s: what has not ended after %s must connect again", strings.Join(who, ", "), span(v.StreamClock))
}

func planHead(project string, v steady.ServicePlan) string {
	head := project + "/" + v.Service + "  " + v.Strategy
	switch {
	case v.Strategy == steady.StrategyKeep && v.From > 0:
		return head + fmt.Sprintf("  release %d", v.From)
	case v.To > 0 && v.From > 0 && v.To != v.From:
		return head + fmt.Sprintf("  release %d, was %d", v.To, v.From)
	case v.To > 0:
		return head + fmt.Sprintf("  release %d", v.To)
	case v.From > 0:
		return head + fmt.Sprintf("  was release %d", v.From)
	}
	return head
}

// planned says what one step is about.
func planned(project string, st steady.Step) string {
	var parts []string
	if st.Replica != "" {
		parts = append(parts, short(project, st.Replica))
	}
	if len(st.Routes) > 0 {
		parts = append(parts, routed(project, st.Routes))
	}
	if st.For > 0 {
		parts = append(parts, span(st.For))
	}
	if st.Volumes {
		parts = append(parts, "with volumes")
	}
	if st.Cause != "" {
		parts = append(parts, "("+st.Cause+")")
	}
	return strings.Join(parts, " ")
}

// routed says where the traffic goes.
func routed(project string, routes []steady.Route) string {
	var parts []string
	for _, r := range routes {
		switch {
		case r.Gone:
			parts = append(parts, r.Service+" withdrawn")
		case r.Hold != nil:
			parts = append(parts, r.Service+" held")
		case len(r.Replicas) == 0:
			parts = append(parts, r.Service+" to nobody")
		case r.Split != nil:
			parts = append(parts, fmt.Sprintf("%s of %s to %s", steady.PercentText(r.Split.Percent), r.Service, onTrial(*r.Split)))
		default:
			parts = append(parts, r.Service+" to "+shorts(project, r.Replicas))
		}
	}
	return strings.Join(parts, "; ")
}

// short leaves out what every container name of the project begins with.
func short(project, name string) string { return strings.TrimPrefix(name, project+"-") }

func shorts(project string, names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = short(project, n)
	}
	return strings.Join(out, ", ")
}
