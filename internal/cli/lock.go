package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gesalpai.ch/steady"
)

func (s *session) lockCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lock show|acquire|release",
		Short: "Keep others from deploying for a while, or show who does",
		Long: `Keep others from deploying for a while, or show who does. Every rollout has a lock
on its services while it runs. A person can take one too: it ends when it is
released or expires, whether or not a daemon runs.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage(c.CommandPath(), unknownCommand(c, args[0]))
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, sub := range []*cobra.Command{s.lockShow(), s.lockAcquire(), s.lockRelease()} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

func (s *session) lockShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show locks, who has them and who waits",
		Long: `Show the locks on services, who has them, and who waits, in order. A running rollout
renews its lock every ` + steady.LeaseBeat.String() + ` (BEAT). The lock expires ` + steady.RolloutLease.String() + ` after that, which only
happens while no daemon runs: the next daemon continues the rollout, with its lock,
before it accepts another.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			got, err := s.backend().Leases(c.Context(), project)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(got))
				return nil
			}
			if len(got.Held)+len(got.Waiting) == 0 {
				s.say("nobody has locked " + project + ", and no rollout runs")
				return nil
			}
			_, err = fmt.Fprint(s.out, leaseTable(got, time.Now()))
			return err
		},
	}
}

func (s *session) lockAcquire() *cobra.Command {
	var message string
	var span, waitLock time.Duration
	c := &cobra.Command{
		Use:   "acquire [all|SERVICE...]",
		Short: "Lock services: no rollout of them begins until the lock ends",
		Long: `Lock the whole project, or some services: no rollout of them begins until the lock
is released or expires, not even your own. Commands that need it fail with exit
status 11 and say who has it and why, or wait with --wait-lock. A running rollout is
not disturbed: the lock waits for it (--wait-lock), or fails. Maintenance and abort
work as usual.`,
		Example:           "  steady lock acquire --message 'release freeze' --for 4h",
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			return s.lock(c.Context(), steady.Lease{Services: named(args), Owner: s.who(), Message: message}, span, waitLock)
		},
	}
	c.Flags().StringVarP(&message, "message", "m", "", "`text` that says why")
	c.Flags().DurationVar(&span, "for", steady.DefaultLease, "`duration` after which the lock expires, at most "+steady.MaxLease.String())
	waitLockFlag(c.Flags(), &waitLock)
	return c
}

func (s *session) lock(ctx context.Context, l steady.Lease, span, wait time.Duration) error {
	if err := (steady.Lease{Expires: time.Now().Add(span), Message: l.Message}).Validate(time.Now()); err != nil {
		return err
	}
	project, err := s.project(ctx)
	if err != nil {
		return err
	}
	l.Project, l.Expires = project, time.Now().Add(span)
	o := s.waits(project, steady.Options{WaitLock: wait})
	told := s.tellWaiting(ctx)
	got, err := s.backend().Lock(ctx, l, o.Ticket, wait)
	told()
	if err != nil {
		return err
	}
	if s.json() {
		s.print(object(got))
		return nil
	}
	s.print(fmt.Sprintf("locked %s until %s", got.Ref(), got.Expires.Local().Format("15:04:05 MST")))
	return nil
}

func (s *session) lockRelease() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "release [all|SERVICE...]",
		Short: "Release a lock",
		Long: `Release your own lock on the project, or on some services; somebody else's only with
--force. A lock on several services is released as a whole. The lock of a running
rollout cannot be released: steady abort ends the rollout and its lock. If nothing
is locked, nothing is done.`,
		ValidArgsFunction: s.completeServices,
		RunE: func(c *cobra.Command, args []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			gone, err := s.backend().Unlock(c.Context(), project, named(args), s.who(), force)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(gone))
				return nil
			}
			if len(gone) == 0 {
				s.say("nobody has locked " + project)
			}
			for _, l := range gone {
				s.print(fmt.Sprintf("released %s, which %s had locked", l.Ref(), l.Owner))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "release somebody else's too")
	return c
}

// named is the services of a command line; none for all.
func named(args []string) []string {
	if len(args) == 1 && args[0] == all {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(args)))
}

func leaseTable(all steady.Leases, now time.Time) string {
	rows := [][]string{{"SERVICES", "WHO", "WHAT", "STEP", "SINCE", "BEAT", "EXPIRES", "WHY"}}
	services := func(names []string) string {
		if len(names) == 0 {
			return "all"
		}
		return strings.Join(names, ", ")
	}
	for _, l := range all.Held {
		what, expires := "lock", "in "+span(l.Expires.Sub(now).Round(time.Second))
		if l.Kind == steady.LeaseRollout {
			what, expires = fmt.Sprintf("rollout %d (%s)", l.Rollout, l.What), "with the rollout"
		}
		rows = append(rows, []string{services(l.Services), l.Owner, what, orDash(l.Step), age(now, l.Since), age(now, l.Beat), expires, orDash(l.Message)})
	}
	for _, w := range all.Waiting {
		rows = append(rows, []string{services(w.Services), w.Owner, w.What + " (waits)", "-", age(now, w.Since), "-",
			"gives up in " + span(w.Until.Sub(now).Round(time.Second)), "for " + w.For})
	}
	return table(rows)
}

// waitLockFlag is on every command that needs a lease.
func waitLockFlag(fs *pflag.FlagSet, wait *time.Duration) {
	fs.DurationVar(wait, "wait-lock", 0, "`duration` to wait for another rollout or a lock to end, such as 5m")
}

// awaited is what this command line waits for, if it may.
type awaited struct {
	project, ticket string
}

// waits makes options of a rollout by which this command line finds itself among
// those who wait for a lease.
func (s *session) waits(project string, o steady.Options) steady.Options {
	if o.WaitLock <= 0 {
		return o
	}
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	o.Ticket = hex.EncodeToString(b)
	s.await = &awaited{project: project, ticket: o.Ticket}
	return o
}
