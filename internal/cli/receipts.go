package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/web"
)

func (s *session) receiptCommand() *cobra.Command {
	var page string
	c := &cobra.Command{
		Use:   "receipt [ROLLOUT]",
		Short: "Show what was counted during a rollout",
		Long: `Show what the proxy counted during the given rollout, or else the project's latest:
for each release of each service the requests by status, those that were lost, cut
and retried, and the streams; latencies in the minute before, during the rollout and
after the last shift; the time of each shift and the duration of each phase.

Requests are lost if steady answered them instead of the app (502, 503, 504), or if
they were broken off, including those cut at the end of a drain. Streams that a
drain ended in their own protocol are closed, others are ended quietly or cut. If a
proxy died, its counts since its last reading, at most a second, are missing, and
the receipt says so.`,
		Example: `  steady receipt
  steady receipt 41 --html receipt.html
  steady receipt --loss-budget 0.1% --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return s.receipt(c.Context(), args, page) },
	}
	c.Flags().StringVar(&page, "html", "", "write a page with plots to `file`; - is standard output")
	s.addBudget(c.Flags())
	return c
}

// errNoReceipt is a rollout of which there is nothing to show.
var errNoReceipt = &steady.Error{Code: "no-receipt", Text: "the rollout has no receipt"}

func (s *session) receipt(ctx context.Context, args []string, page string) error {
	r, err := s.rollout(ctx, "steady receipt", args)
	if err == nil {
		r, err = s.backend().Rollout(ctx, r.ID) // lists leave out what plots need
	}
	if err != nil {
		return err
	}
	switch {
	case !r.Final():
		return errNoReceipt.With(fmt.Sprintf("rollout %d runs still, and has no receipt yet", r.ID), fmt.Sprintf("steady watch %d", r.ID))
	case r.Receipt == nil:
		return errNoReceipt.With(fmt.Sprintf("rollout %d has no receipt", r.ID), "steady rollouts")
	case page != "":
		err = s.writePage(page, r)
	case s.json():
		s.print(object(r))
	default:
		_, err = io.WriteString(s.out, receiptText(r, s.outStyle()))
	}
	if err != nil {
		return err
	}
	return s.budget.check(r, r.Receipt)
}

// writePage writes the page to a file, whole or not at all, or to standard output.
func (s *session) writePage(to string, r steady.Rollout) error {
	if to == "-" {
		return web.Receipt(s.out, r)
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".steady-*")
	if err != nil {
		return fmt.Errorf("write the receipt: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has another name by then, or was never whole
	err = web.Receipt(f, r)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("write the receipt to %s: %w", to, err)
	}
	s.say("the receipt of rollout " + fmt.Sprint(r.ID) + " is in " + to)
	return nil
}
