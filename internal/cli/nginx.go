package cli

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/daemon"
)

func (s *session) nginxCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "nginx",
		Short: "Put the host's nginx before a service",
		Long: `Write, test and enable a site of the host's nginx that passes requests on to a
service's published port, on which steady listens. It is written once: no rollout
changes it or reloads nginx. You need none of this without nginx.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, sub := range []*cobra.Command{s.nginxRenderCommand(), s.nginxInstallCommand(), s.nginxStatusCommand(), s.nginxRemoveCommand()} {
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

func (s *session) nginxRenderCommand() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use:   "render",
		Short: "Print a site and touch nothing",
		Long: `Print the site that install would write, for the version of nginx that is installed
here. It needs neither privileges nor a daemon.`,
		Example: "  steady nginx render --domain api.example.org --service api",
		Args:    siteArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := s.site(c.Context(), f)
			if err != nil {
				return err
			}
			text, err := daemon.RenderSite(c.Context(), site)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(map[string]any{"site": site, "text": text}))
				return nil
			}
			_, err = fmt.Fprint(s.out, text)
			return err
		},
	}
	f.add(c.Flags())
	return c
}

func (s *session) nginxInstallCommand() *cobra.Command {
	var f siteFlags
	var confDir string
	var yes bool
	c := &cobra.Command{
		Use:   "install",
		Short: "Write a site, test it, enable it, reload nginx once",
		Long: `Write a site into sites-available, enable it, test nginx's configuration with it
and reload nginx once. If anything fails, everything is put back as it was. For a
file that steady did not write, the changes are shown, and made only with --yes.
Certificate and key are read before anything is touched. A site that is up to date
is left alone.`,
		Example: `  steady nginx install --domain api.example.org --service api
  steady nginx install --domain api.example.org --service api --certificate /etc/letsencrypt/live/api.example.org/fullchain.pem --certificate-key /etc/letsencrypt/live/api.example.org/privkey.pem`,
		Args: siteArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := s.site(c.Context(), f)
			if err != nil {
				return err
			}
			change, err := s.backend().InstallSite(c.Context(), confDir, site, yes)
			if err != nil {
				return err
			}
			return s.showChange(change, fmt.Sprintf("site %s passes %s on to %s", site.Name, strings.Join(site.Domains, ", "), site.Upstream))
		},
	}
	f.add(c.Flags())
	c.Flags().StringVar(&confDir, "conf-dir", steady.DefaultConfDir, "`directory` of nginx.conf, sites-available and sites-enabled")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "replace a file that steady did not write; it is kept beside it")
	return c
}

func (s *session) nginxRemoveCommand() *cobra.Command {
	var confDir string
	c := &cobra.Command{
		Use:   "remove SITE",
		Short: "Disable and remove a site that steady wrote",
		Long: `Disable and remove a site that steady wrote, test the remaining configuration, and
reload nginx once. If that fails, the site is put back.`,
		Args: siteArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			change, err := s.backend().RemoveSite(c.Context(), confDir, args[0])
			if err != nil {
				return err
			}
			return s.showChange(change, "site "+args[0]+" is gone")
		},
	}
	c.Flags().StringVar(&confDir, "conf-dir", steady.DefaultConfDir, "`directory` of nginx.conf, sites-available and sites-enabled")
	return c
}

// siteArgs makes wrong arguments of a command within nginx a usage error.
func siteArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage(c.CommandPath(), err.Error())
		}
		return nil
	}
}

func (s *session) showChange(change steady.SiteChange, what string) error {
	for _, w := range change.Warnings {
		s.warn(w)
	}
	if s.json() {
		s.print(object(change))
		return nil
	}
	if !change.Changed {
		s.print("unchanged: " + what)
		return nil
	}
	if change.Kept != "" {
		s.say("what was there before is kept in " + change.Kept)
	}
	if change.Reloaded {
		what += "; nginx was reloaded once"
	}
	s.print(what)
	return nil
}

func (s *session) nginxStatusCommand() *cobra.Command {
	var confDir string
	c := &cobra.Command{
		Use:   "status SITE",
		Short: "Show a site, nginx's own verdict, and who answers behind it",
		Long: `Show whether a site is installed and enabled, what nginx -t says, where the site
passes requests, whether a service answers there, and when nginx last reloaded. The
exit status is 15 if nginx -t fails, nginx does not run, or no service answers.`,
		Args: siteArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			st, err := s.backend().SiteStatus(c.Context(), confDir, args[0])
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(st))
			} else if _, err := fmt.Fprint(s.out, siteText(st, time.Now())); err != nil {
				return err
			}
			return siteFault(st)
		},
	}
	c.Flags().StringVar(&confDir, "conf-dir", steady.DefaultConfDir, "`directory` of nginx.conf, sites-available and sites-enabled")
	return c
}

// siteFault is the first thing that is wrong with a site, nil when nothing is.
func siteFault(st steady.SiteStatus) error {
	switch {
	case !st.Valid:
		e := steady.ErrNginx.With("nginx -t fails: a reload would change nothing", "sudo nginx -t")
		e.Tail = st.Said
		return e
	case !st.Enabled:
		return steady.ErrNginx.With("site "+st.Name+" is not enabled", "steady nginx install …")
	case !st.Running:
		return steady.ErrNginx.With("nginx does not run", "sudo systemctl start nginx")
	case st.Fault != "":
		return steady.ErrNginx.With("behind site "+st.Name+": "+st.Fault, "steady status")
	}
	return nil
}

func siteText(st steady.SiteStatus, now time.Time) string {
	by := "by hand"
	if st.Ours {
		by = "by steady"
	}
	enabled := map[bool]string{true: "enabled", false: "not enabled"}[st.Enabled]
	runs := "does not run"
	if st.Running {
		runs = "runs, last reloaded " + age(now, st.Reloaded) + " ago"
	}
	rows := [][]string{
		{"site", fmt.Sprintf("%s, written %s, %s", st.Path, by, enabled)},
		{"domains", orDash(strings.Join(st.Domains, ", "))},
		{"upstream", orDash(strings.Join(st.Upstream, ", "))},
		{"answers", orDash(st.Answers)},
		{"nginx", st.Nginx + ", " + runs},
		{"nginx -t", map[bool]string{true: "ok", false: "fails"}[st.Valid]},
	}
	if !st.Expires.IsZero() {
		rows = append(rows, []string{"certificate", "until " + st.Expires.Format(time.DateOnly)})
	}
	return table(rows)
}

// loopback is the address of a published port as nginx on this machine reaches it.
func loopback(p steady.Port) string {
	host := p.HostIP
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, fmt.Sprint(p.Published))
}
