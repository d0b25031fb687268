package cli

import (
	"time"

	"github.com/spf13/cobra"
)

// Bounds of a drill's load: it is fired at what serves visitors.
const (
	drillRate      = 50.0 // requests per second
	drillRateMost  = 1000.0
	drillTimesMost = 100
	drillLead      = 5 * time.Second
	drillTimeout   = 30 * time.Second // of one connect and of one exchange; above the longest hold
)

type drillFlags struct {
	rate, fresh          float64
	lead, waitLock       time.Duration
	times                int
	budget               budget
	target, path, method string
	headers              list
	body                 string
	insecure, yes        bool
}

func (s *session) drillCommand() *cobra.Command {
	f := drillFlags{budget: budget{text: "0"}}
	c := &cobra.Command{
		Use:   "drill SERVICE",
		Short: "Rehearse a rollout under load and count what it loses",
		Long: `Rehearse a rollout under load and count what it loses. The serving release is
replaced by itself, with the same files, environment and image, while this command
sends requests to the published port and counts losses by phase, statuses, latencies
and the longest pause; the proxy's own count is shown beside it. Neither the Compose
file nor its directory is needed. The rollout gets a release number like any other.
It takes no canary steps, runs only the stop hook, and keeps no further release
warm. A later rollback goes where it would have gone without the drill.

The load is open loop: request i is due at start + i/rate, its latency counts from
then, and nothing is sent twice. A request without a complete answer, or with a
status of 500 and above, is lost. Half of the requests use kept connections, the
others one each (--fresh). The load is GET of the probe's path, or else of /, over
HTTP/1.1, to the published port on this host or to the service's first route. The
requests are real: choose a --path that may be requested so often.

Before the rollout the load runs alone for as long as --for says. If requests are
lost even then, or the load does not reach the service through steady, nothing is
rolled out and the exit status is 23. It is 5 if more than --loss-budget was lost, 0
unless given, by the load's count or by the proxy's. Interrupting this command ends
the load; a running rollout goes on.`,
		Example: `  steady drill api
  steady drill api --rate 200 --times 5 --path /health
  steady drill api --target https://api.example.org --path /v1/version`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(c.CommandPath()); err != nil {
				return err
			}
			return s.drill(c.Context(), args[0], f)
		},
	}
	fs := c.Flags()
	fs.Float64Var(&f.rate, "rate", drillRate, "`requests` per second, 1000 at most")
	fs.Float64Var(&f.fresh, "fresh", 0.5, "`share` of the requests that have a connection of their own, from 0 to 1")
	fs.DurationVar(&f.lead, "for", drillLead, "`duration` of load before the rollout and after it")
	fs.IntVar(&f.times, "times", 1, "`number` of rollouts, one after the other")
	addBudget(fs, &f.budget)
	fs.StringVar(&f.target, "target", "", "`URL` to send the load to instead, such as that of a front")
	fs.StringVar(&f.path, "path", "", "`path` to ask for, with its query (default: the probe's, else /)")
	fs.StringVar(&f.method, "method", "GET", "`method` of the requests; what is not safe to repeat is not safe here")
	fs.Var(&f.headers, "header", "a `header` of the requests, \"Name: value\"; repeatable")
	fs.StringVar(&f.body, "body", "", "`text` of the requests' body, or @file")
	fs.BoolVar(&f.insecure, "insecure", false, "do not verify the certificate of an https target")
	waitLockFlag(fs, &f.waitLock)
	fs.BoolVarP(&f.yes, "yes", "y", false, "do not ask; without a terminal nothing is asked")
	return c
}

// check says which flag cannot be meant.
func (f drillFlags) check(command string) error {
	switch {
	case !(f.rate >= 1 && f.rate <= drillRateMost):
		return usage(command, "--rate wants 1 to 1000 requests per second")
	case !(f.fresh >= 0 && f.fresh <= 1):
		return usage(command, "--fresh wants a share from 0 to 1")
	case f.lead < time.Second || f.lead > time.Hour:
		return usage(command, "--for wants a duration from 1s to 1h")
	case f.times < 1 || f.times > drillTimesMost:
		return usage(command, "--times wants 1 to 100 rollouts")
	case f.path != "" && !plainWord(f.path, '/'):
		return usage(command, "--path wants a path that begins with /, escaped")
	case f.method == "" || !plainWord(f.method, f.method[0]) || f.method == "CONNECT":
		return usage(command, "--method wants a method such as GET")
	}
	return nil
}

// plainWord says whether text begins with a byte and is one word of visible ASCII,
// so that it stays what it is in a request's first line.
func plainWord(text string, first byte) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return text != "" && text[0] == first
}
