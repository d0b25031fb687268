package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) notifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "notify status|test",
		Short: "Show who was told of rollouts, and try whether telling works",
		Long: `Show the notifications about the project's rollouts, or send a test. The targets are
in x-steady.notify at the top of the Compose file: webhooks, Slack, commands.
Messages are kept until they are delivered, for at most a day; no rollout waits for
them. docs/hooks.md describes their content and signature.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage(c.CommandPath(), unknownCommand(c, args[0]))
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, sub := range []*cobra.Command{s.notifyStatus(), s.notifyTest()} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

func (s *session) notifyStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the last messages and what became of them",
		Long:  "Show the project's last messages, newest first, and whether each was delivered.\nAddresses are shown without their path.",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			all, err := s.backend().Notifications(c.Context(), project)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(all))
				return nil
			}
			if len(all) == 0 {
				s.say("nobody was told anything of " + project)
				return nil
			}
			_, err = fmt.Fprint(s.out, deliveryTable(all, time.Now()))
			return err
		},
	}
}

func (s *session) notifyTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test",
		Short: "Send a test to each receiver of the Compose file",
		Long: `Send a test message to each target in the Compose file, once, and show the results.
The daemon sends it, as it sends the others. The exit status is 1 if one was not
delivered.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return s.testNotify(c.Context()) },
	}
}

func (s *session) testNotify(ctx context.Context) error {
	p, err := s.load(ctx, nil)
	if err != nil {
		return err
	}
	if len(p.Specs) == 0 || len(p.Specs[0].Notify) == 0 {
		return steady.ErrUsage.With(p.Name+" names nobody to tell", "x-steady: {notify: [{webhook: https://ops.example.ch/steady}]} at the top of the Compose file")
	}
	all, err := s.backend().TestNotify(ctx, p.Name, p.Specs[0].Notify)
	if err != nil {
		return err
	}
	if s.json() {
		s.print(object(all))
	} else if _, err := fmt.Fprint(s.out, deliveryTable(all, time.Now())); err != nil {
		return err
	}
	if i := slices.IndexFunc(all, func(d steady.Delivery) bool { return !d.Delivered() }); i >= 0 {
		return steady.ErrInternal.With(fmt.Sprintf("%s was not told: %s", all[i].Name, all[i].Error), "steady notify test, once that is mended")
	}
	return nil
}

func deliveryTable(all []steady.Delivery, now time.Time) string {
	rows := [][]string{{"WHEN", "EVENT", "ROLLOUT", "RECEIVER", "OUTCOME"}}
	for _, d := range all {
		rollout := "-"
		if d.Rollout > 0 {
			rollout = fmt.Sprint(d.Rollout)
		}
		rows = append(rows, []string{d.Made.Local().Format(time.DateTime), d.Notice, rollout, d.Name, outcomeOf(d, now)})
	}
	return table(rows)
}

// outcomeOf says what became of a message.
func outcomeOf(d steady.Delivery, now time.Time) string {
	tries := count(int64(d.Tries), "try")
	if d.Tries > 1 {
		tries = number(int64(d.Tries)) + " tries"
	}
	switch {
	case d.Delivered() && d.Tries <= 1:
		return "delivered"
	case d.Delivered():
		return fmt.Sprintf("delivered after %s", tries)
	case !d.Ended.IsZero():
		return fmt.Sprintf("not delivered: %s", printable(d.Error))
	case d.Tries == 0:
		return "on its way"
	}
	return fmt.Sprintf("%s, again in %s: %s", tries, span(max(0, d.Due.Sub(now)).Round(time.Second)), printable(d.Error))
}
