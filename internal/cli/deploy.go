package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

type deployFlags struct {
	build, pull, noDeps, force, dryRun, yes, detach bool
	removeOrphans                                   bool
	detailed                                        bool // of dryRun
	waitLock                                        time.Duration
}

func (s *session) deployCommand() *cobra.Command {
	var f deployFlags
	c := &cobra.Command{
		Use:   "deploy [all|SERVICE...]",
		Short: "Release what the Compose file says, without losing a request",
		Long: `Release what the Compose file says: all services, or those named. Services they
depend on are started where nothing of them runs, and left alone otherwise.
What is unchanged stays. Services that run and are not in the file any more are
named, and go on running, unless --remove-orphans takes them down once the new
releases serve; what such a service publishes and another one now asks for is
handed over without a gap. A failure before the shift leaves no trace, one after it
shifts back. Interrupting this command does not stop the rollout.`,
		Example: `  steady deploy
  steady deploy api --build
  steady -f compose.yml -f prod.yml deploy all --dry-run`,
		ValidArgsFunction: s.completeServices,
		RunE:              func(c *cobra.Command, args []string) error { return s.deploy(c.Context(), f, args) },
	}
	fs := c.Flags()
	fs.BoolVar(&f.build, "build", false, "build images even where they exist")
	fs.BoolVar(&f.pull, "pull", false, "pull images even where they exist")
	fs.BoolVar(&f.noDeps, "no-deps", false, "leave dependencies alone, running or not")
	fs.BoolVar(&f.force, "force", false, "replace even what is unchanged")
	s.removeOrphansFlag(fs, &f.removeOrphans)
	fs.BoolVar(&f.dryRun, "dry-run", false, "show the plan and do nothing")
	addDetailed(fs, &f.detailed)
	fs.BoolVarP(&f.yes, "yes", "y", false, "do not ask when the plan has a gap; without a terminal nothing is asked")
	fs.BoolVarP(&f.detach, "detach", "d", false, "return once the rollout is accepted")
	s.addBudget(fs)
	waitLockFlag(fs, &f.waitLock)
	return c
}

func (s *session) deploy(ctx context.Context, f deployFlags, args []string) error {
	chosen, err := s.choose(ctx, args, f.noDeps)
	if err != nil {
		return err
	}
	o := steady.Options{
		Services: chosen.names, Build: f.build, Pull: f.pull, NoDeps: f.noDeps, Force: f.force,
		WaitLock: f.waitLock, Who: s.who(), Declared: chosen.declared, RemoveOrphans: f.removeOrphans,
	}
	if f.detailed && !f.dryRun {
		return usage("steady deploy", "--detailed-exitcode goes with --dry-run")
	}
	if f.dryRun {
		return s.showPlan(ctx, chosen.specs, o, f.detailed)
	}
	if !f.yes && !f.detach && isTerminal(s.in) && isTerminal(s.err) && !s.json() {
		if err := s.askAboutGap(ctx, chosen.specs, o); err != nil {
			return err
		}
	}
	if len(chosen.specs) > 0 {
		o = s.waits(chosen.specs[0].Project, o)
	}
	err = s.carry(ctx, f.detach, func(b api.Backend) (steady.Rollout, error) {
		return b.Deploy(ctx, chosen.specs, o)
	})
	if err == nil && !f.detach {
		s.warnOfCertificates(ctx, chosen.specs)
	}
	return err
}

// removeOrphansFlag adds the flag with which services go that are not in the files any
// more, and reads the variable by which docker compose takes it for set.
func (s *session) removeOrphansFlag(f *pflag.FlagSet, remove *bool) {
	set, _ := strconv.ParseBool(s.getenv("COMPOSE_REMOVE_ORPHANS"))
	f.BoolVar(remove, "remove-orphans", set, "take down services that are not in the Compose file any more; COMPOSE_REMOVE_ORPHANS")
}

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was done")

// askAboutGap asks before visitors notice something. Only a terminal is asked;
// elsewhere the plan's warning must do.
func (s *session) askAboutGap(ctx context.Context, specs []steady.Spec, o steady.Options) error {
	p, err := s.backend().Plan(ctx, specs, o)
	if err != nil {
		return err
	}
	found := gaps(p)
	if len(found) == 0 {
		return nil
	}
	for _, w := range found {
		s.warn(w)
	}
	return s.confirm(ctx)
}

// confirm is errDeclined unless the person at the terminal says yes.
func (s *session) confirm(ctx context.Context) error {
	fmt.Fprint(s.err, "steady: go on? [y/N] ")
	answer, err := ask(ctx, s.in)
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return errDeclined
	}
	return nil
}

// ask reads one line; an interrupt does not wait for it.
func ask(ctx context.Context, in io.Reader) (string, error) {
	line := make(chan string, 1)
	go func() { // ends with the line, or with the process: a terminal's read cannot be cancelled
		text, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && text == "" {
			text = "no"
		}
		line <- strings.TrimSpace(text)
	}()
	select {
	case text := <-line:
		return text, nil
	case <-ctx.Done():
		return "", errInterrupted
	}
}

// warnings are the gaps of a plan, and the services that are not in the file any more.
func warnings(p steady.Plan) []string { return append(strayed(p), gaps(p)...) }

// gaps says which services visitors will miss for a moment, and why, which ports
// they will find closed, and which directories share the project's name.
func gaps(p steady.Plan) []string {
	out := otherDirectories(p)
	for _, s := range p.Services {
		for _, c := range s.Closes {
			out = append(out, fmt.Sprintf("%s/%s: %s", p.Project, s.Service, c))
		}
		if s.Strategy != steady.StrategyStopFirst {
			continue
		}
		text := fmt.Sprintf("%s/%s is replaced with a gap (%s): %s", p.Project, s.Service, s.Strategy, s.Cause)
		if s.Gap > 0 {
			text += "; the last one took " + span(s.Gap)
		}
		out = append(out, text)
	}
	return out
}

// strayed names the services that are not in the Compose file any more and go on running.
func strayed(p steady.Plan) []string {
	var names []string
	for _, s := range p.Services {
		if s.Orphan && s.Strategy != steady.StrategyRemove {
			names = append(names, s.Service)
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		return []string{fmt.Sprintf("%s/%s runs and is not in the Compose file any more: steady deploy --remove-orphans, or steady down %s, removes it", p.Project, names[0], names[0])}
	}
	return []string{fmt.Sprintf("%s of %s run and are not in the Compose file any more: steady deploy --remove-orphans, or steady down %s, removes them",
		listed(names), p.Project, strings.Join(names, " "))}
}

// otherDirectories says, once a directory, that the project was deployed from another one
// so far: two stacks that share a name would replace each other's services.
func otherDirectories(p steady.Plan) []string {
	var out []string
	for _, s := range p.Services {
		text := fmt.Sprintf("%s was deployed from %s so far, and not from this directory: two stacks need two names (name: in the file, or --project-name)", p.Project, s.Elsewhere)
		if s.Elsewhere != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
