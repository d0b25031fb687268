package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
	"gesalpai.ch/steady/internal/compose"
)

// never is the threshold that no finding reaches.
const never = "never"

type checkFlags struct {
	severity choice
	failOn   choice
	memory   memory
	sarif    bool
}

// least is the least severity that is shown: what decides about the exit status is.
func (o checkFlags) least() steady.Severity {
	if o.failOn.value == string(steady.Notice) {
		return steady.Notice
	}
	return steady.Severity(o.severity.value)
}

func (s *session) checkCommand() *cobra.Command {
	severities := []string{string(steady.Notice), string(steady.Warning), string(steady.Failure)}
	o := checkFlags{severity: choice{value: string(steady.Warning), allowed: severities}, failOn: choice{value: string(steady.Failure), allowed: append(slices.Clone(severities), never)}}
	c := &cobra.Command{
		Use:   "check [SERVICE...]",
		Short: "Find in the Compose file what will hurt a deploy",
		Long: `Find in the Compose files what will hurt a deploy, or the service afterwards. The
files are only read: no daemon and no Engine are needed. Without --profile, the
services of all profiles are looked at. Findings of severity info, which tell what
is worth knowing and nothing that is wrong, are shown with --severity info only.
docs/check.md lists the rules. The exit status is 0 when nothing is found that is as severe as --fail-on says, else 20 or
21.`,
		Example: `steady check
steady -f compose.prod.yml check --fail-on warning
steady check --sarif > steady.sarif`,
		RunE: func(c *cobra.Command, args []string) error { return s.check(c.Context(), args, o) },
	}
	c.Flags().Var(&o.severity, "severity", "least `severity` that is shown: info, warning or error")
	c.Flags().Var(&o.failOn, "fail-on", "least `severity` that makes the exit status 20 or 21: info, warning, error or never")
	c.Flags().Var(&o.memory, "host-memory", "`size` of the memory of the host that it is for, such as 8g; 0 leaves it out (default this machine's)")
	c.Flags().BoolVar(&o.sarif, "sarif", false, "answer in SARIF 2.1.0, as code hosts show it")
	return c
}

func (s *session) check(ctx context.Context, services []string, o checkFlags) error {
	survey, err := compose.Look(ctx, s.composeOptions())
	if err != nil {
		return err
	}
	for _, name := range services {
		if !slices.ContainsFunc(survey.Services, func(d steady.Declared) bool { return d.Service == name }) {
			return noDeclared(survey, name)
		}
	}
	in := check.Input{Survey: survey, Memory: o.memory.bytes(), Only: services}
	all := check.Summary(in)
	findings := atLeast(all, o.least())
	switch {
	case o.sarif:
		s.print(s.sarif(atLeast(check.Run(in), o.least())))
	case s.json():
		s.print(object(map[string]any{"project": survey.Project, "files": survey.Files, "findings": findings}))
	default:
		s.showFindings(findings)
		s.print(counted(findings) + " in " + listed(s.relative(survey.Files)) + hidden(len(all)-len(findings)))
	}
	return found(findings, o.failOn.value)
}

func atLeast(findings []steady.Finding, least steady.Severity) []steady.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f steady.Finding) bool { return !f.Severity.AtLeast(least) })
}

// hidden tells how many findings are not shown, and how to see them.
func hidden(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d below the severity that is shown: --severity info)", n)
}

func noDeclared(survey steady.Survey, name string) error {
	var specs []steady.Spec
	for _, d := range survey.Services {
		specs = append(specs, d.Spec)
	}
	return noService(survey.Project, name, specs)
}

// memory is a flag for a number of bytes.
type memory struct {
	set bool
	n   int64
}

func (m *memory) String() string {
	if !m.set {
		return ""
	}
	return strconv.FormatInt(m.n, 10)
}

func (m *memory) Type() string { return "size" }

// Set reads "8g", "512MiB" or a number of bytes, all of them powers of 1024, as
// Compose does.
func (m *memory) Set(text string) error {
	number := strings.TrimRight(strings.ToLower(text), "kmgtib")
	n, err := strconv.ParseFloat(number, 64)
	unit := strings.ToLower(text)[len(number):]
	power := strings.IndexByte("bkmgt", (unit + "b")[0])
	if err != nil || n < 0 || n > 1<<20 && power > 2 {
		return fmt.Errorf("%q is no size such as 8g or 512m", text)
	}
	m.set, m.n = true, int64(n*float64(int64(1)<<(10*power)))
	return nil
}

// bytes is what was set, else the memory of this machine.
func (m *memory) bytes() int64 {
	if m.set {
		return m.n
	}
	var i unix.Sysinfo_t
	if unix.Sysinfo(&i) != nil {
		return 0
	}
	return int64(i.Totalram) * int64(i.Unit)
}
