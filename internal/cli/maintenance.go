package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) maintenanceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "maintenance on|off|status [SERVICE...]",
		Short: "Show visitors a page instead of a service, and let the team through",
		Long: `Show visitors a page instead of a service, and let the team through. Only published
ports and routes are affected: calls from within the project go on. Deploys work as
usual, and the services stay under maintenance.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage(c.CommandPath(), unknownCommand(c, args[0]))
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, sub := range []*cobra.Command{s.maintenanceOn(), s.maintenanceOff(), s.maintenanceStatus()} {
		sub.DisableFlagsInUseLine = true
		sub.ValidArgsFunction = s.completeServices
		c.AddCommand(sub)
	}
	return c
}

type maintenanceFlags struct {
	page, message              string
	retryAfter                 time.Duration
	allow, trust, allowHeaders []string
}

func (s *session) maintenanceOn() *cobra.Command {
	var f maintenanceFlags
	c := &cobra.Command{
		Use:   "on [all|SERVICE...]",
		Short: "Answer 503 with a page on all published ports and routes, or those of some services",
		Long: `Answer 503 with a page on all published ports and routes, or those of some services, with
Retry-After and Cache-Control: no-store; with JSON where the client's Accept
prefers that. It returns when requests and streams in flight have ended, within the
times of x-steady.drain. From then on only allowed clients reach the services.
Without a service, services that are added later are included.

It lasts until maintenance off, also when daemon and proxy restart. Repeat it to
change the settings. Ports that do not carry HTTP close new connections at once,
except those of --allow. HTTP/2 without TLS gets the page as well.

Clients are allowed by address (--allow), requests by a header (--allow-header),
whose value is compared in constant time and stored as a hash only. A value that
begins with @ is read from that file. Behind a proxy, such as nginx on this host,
the client's address is the last in X-Forwarded-For that is neither loopback nor in
--trust. That header is believed only when the connection
itself comes from loopback or from --trust; there the proxy must set it or append
to it, as nginx does with $proxy_add_x_forwarded_for.`,
		Example: `  steady maintenance on --message "Back at 14:00" --retry-after 30m
  steady maintenance on api --page down.html --allow 203.0.113.7
  steady maintenance on --allow-header "X-Team: @/root/team-secret"`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := f.maintenance(s.who())
			if err != nil {
				return err
			}
			return s.maintain(c.Context(), args, &m)
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.page, "page", "", "show the HTML of `file`, 64 KiB at most, instead of the built-in page")
	fs.StringVar(&f.message, "message", "", "`text` of the built-in page, and of the answer in JSON")
	fs.DurationVar(&f.retryAfter, "retry-after", steady.DefaultRetryAfter, "`duration` after which clients should try again")
	fs.StringArrayVar(&f.allow, "allow", nil, "allow clients of an `address` or network, such as 203.0.113.0/24; repeatable")
	fs.StringArrayVar(&f.allowHeaders, "allow-header", nil, "allow requests with a `header`, \"Name: value\" or \"Name: @file\"; repeatable")
	fs.StringArrayVar(&f.trust, "trust", nil, "believe X-Forwarded-For also of peers in a `network`; repeatable")
	return c
}

func (s *session) maintenanceOff() *cobra.Command {
	return &cobra.Command{
		Use:   "off [all|SERVICE...]",
		Short: "End a maintenance",
		Long:  "End the maintenance of all services, or of those named. When it returns, the next\nrequest reaches the service.",
		RunE:  func(c *cobra.Command, args []string) error { return s.maintain(c.Context(), args, nil) },
	}
}

func (s *session) maintenanceStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which services are under maintenance",
		Long:  "Show which services that publish ports or have routes are under maintenance, since when, by whom\nand who is let through. Values of headers are never shown.",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			got, err := s.backend().Maintenance(c.Context(), project)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(got))
				return nil
			}
			_, err = fmt.Fprint(s.out, maintenanceTable(got, time.Now()))
			return err
		},
	}
}

func noArguments(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usage(c.CommandPath(), err.Error())
	}
	return nil
}

// maintain asks for it and tells what came of it, service by service.
func (s *session) maintain(ctx context.Context, args []string, m *steady.Maintenance) error {
	if len(args) == 1 && args[0] == all {
		args = nil
	}
	project, err := s.project(ctx)
	if err != nil {
		return err
	}
	got, err := s.backend().Maintain(ctx, project, args, m)
	if err != nil {
		return err
	}
	if s.json() {
		s.print(object(got))
		return nil
	}
	if len(got.Services) == 0 {
		s.say(project + " has no service that publishes a port or has a route")
	}
	for _, v := range got.Services {
		s.print(project + "/" + v.Service + "  " + maintainedText(v))
	}
	return nil
}

func maintainedText(v steady.MaintainedService) string {
	switch {
	case v.Maintenance != nil && v.Changed:
		return "under maintenance  " + drainText(v.Drained)
	case v.Maintenance != nil:
		return "under maintenance already"
	case v.Changed:
		return "open"
	}
	return "open already"
}

func maintenanceTable(got steady.Maintained, now time.Time) string {
	rows := [][]string{{"SERVICE", "STATE", "SINCE", "BY", "RETRY-AFTER", "PAGE", "LET THROUGH"}}
	for _, v := range got.Services {
		m := v.Maintenance
		if m == nil {
			rows = append(rows, []string{v.Service, "open"})
			continue
		}
		page := "built-in"
		if m.Page != "" {
			page = m.Page
		}
		var through []string
		for _, p := range m.Allow {
			through = append(through, p.String())
		}
		for _, h := range m.AllowHeaders {
			through = append(through, h.Name+": …")
		}
		rows = append(rows, []string{v.Service, "maintenance", age(now, m.Since), orDash(m.Who), m.RetryAfter.String(), page, orDash(strings.Join(through, ", "))})
	}
	return table(rows)
}

// maintenance reads what the flags say.
func (f maintenanceFlags) maintenance(who string) (steady.Maintenance, error) {
	m := steady.Maintenance{Message: f.message, RetryAfter: f.retryAfter, Who: who}
	var err error
	if f.page != "" {
		if m.Page, err = bounded(f.page, steady.MaxMaintenancePage); err != nil {
			return m, maintenanceUsage("--page: " + err.Error())
		}
	}
	if m.Allow, err = prefixes(f.allow); err != nil {
		return m, maintenanceUsage("--allow: " + err.Error())
	}
	if m.Trust, err = prefixes(f.trust); err != nil {
		return m, maintenanceUsage("--trust: " + err.Error())
	}
	for _, h := range f.allowHeaders {
		sum, err := headerSum(h)
		if err != nil {
			return m, maintenanceUsage("--allow-header: " + err.Error())
		}
		m.AllowHeaders = append(m.AllowHeaders, sum)
	}
	return m, m.Validate()
}

func maintenanceUsage(text string) error { return usage("steady maintenance on", text) }

func prefixes(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, t := range texts {
		p, err := steady.ParsePrefix(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// headerSum reads "Name: value". No error tells the value.
func headerSum(text string) (steady.HeaderSum, error) {
	name, value, ok := strings.Cut(text, ":")
	name, value = textproto.TrimString(name), textproto.TrimString(value)
	if file, at := strings.CutPrefix(value, "@"); at {
		read, err := bounded(file, 4<<10)
		if err != nil {
			return steady.HeaderSum{}, err
		}
		value = textproto.TrimString(strings.TrimRight(read, "\r\n"))
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if !ok || name == "" || strings.ContainsAny(name, " \t") || value == "" {
		return steady.HeaderSum{}, fmt.Errorf("it is a name and a value, such as \"X-Team: secret\"")
	}
	return steady.HeaderSum{Name: canonical, Sum: steady.SumHeader(value)}, nil
}

// bounded reads a whole file that is not larger than most, in bytes.
func bounded(path string, most int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > most:
		return "", fmt.Errorf("%s has more than the %d bytes that are kept", path, most)
	case len(b) == 0:
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(b), nil
}
