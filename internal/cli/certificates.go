package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) certificatesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "certificates",
		Short: "Show the certificates of the project's routes",
		Long: `Show the certificates of the hosts in the project's routes: where each comes from,
its issuer, how long it is valid, and why it could not be issued or renewed. A
deploy does not wait for an ACME server: missing certificates are requested again
in the background.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			status, err := s.backend().Status(c.Context(), project)
			if err != nil {
				return err
			}
			if s.json() {
				if status.Certificates == nil {
					status.Certificates = []steady.CertificateStatus{}
				}
				s.print(object(status.Certificates))
				return nil
			}
			if len(status.Certificates) == 0 {
				s.say(project + " has no route with TLS")
				return nil
			}
			_, err = fmt.Fprint(s.out, certificateTable(status.Certificates, time.Now()))
			return err
		},
	}
}

func certificateTable(all []steady.CertificateStatus, now time.Time) string {
	rows := [][]string{{"HOST", "FROM", "ISSUER", "VALID UNTIL", "TROUBLE"}}
	for _, c := range all {
		until := "-"
		if !c.NotAfter.IsZero() {
			until = c.NotAfter.Format(time.DateOnly)
		}
		rows = append(rows, []string{c.Host, sourceText(c.Source), orDash(c.Issuer), until, troubleText(c, now)})
	}
	return table(rows)
}

// sourceText is the file, or the ACME server's host.
func sourceText(source string) string {
	if u, err := url.Parse(source); err == nil && u.Host != "" {
		return u.Host
	}
	return source
}

// troubleText is why there is no certificate, or no newer one.
func troubleText(c steady.CertificateStatus, now time.Time) string {
	switch {
	case c.Error == "" && c.Issuer == "":
		return "being obtained"
	case c.Error == "":
		return "-"
	case c.Next.After(now):
		return c.Error + "; again in " + span(c.Next.Sub(now))
	}
	return c.Error
}

// ruleText is one route for a person.
func ruleText(r steady.Rule) string {
	scheme, from := "https://", "certificate from "+sourceText(r.TLS.CA)+", obtained in the background"
	switch {
	case r.Plain():
		scheme, from = "http://", "without TLS"
	case r.TLS.Certificate != "":
		from = "certificate " + r.TLS.Certificate
	}
	return fmt.Sprintf("%s%s to port %d; %s", scheme, r.Name(), r.Port, from)
}

// reachText is where a service can be reached: its published ports and its routes.
func reachText(v steady.ServiceStatus) string {
	var out []string
	if len(v.Ports) > 0 {
		out = append(out, portsText(v.Ports))
	}
	for _, r := range v.Rules {
		out = append(out, fmt.Sprintf("%s->%d", r.Name(), r.Port))
	}
	return orDash(strings.Join(out, ", "))
}

// warnOfCertificates says after a deploy which hosts cannot be reached yet: no
// deploy waits for an ACME server.
func (s *session) warnOfCertificates(ctx context.Context, specs []steady.Spec) {
	secure := func(v steady.Spec) bool {
		return slices.ContainsFunc(v.Routes, func(r steady.Rule) bool { return !r.Plain() })
	}
	i := slices.IndexFunc(specs, secure)
	if i < 0 || s.json() || s.progress() == progressQuiet {
		return
	}
	status, err := s.backend().Status(ctx, specs[i].Project)
	if err != nil {
		return // what was asked for is done; steady status will say what is wrong
	}
	for _, c := range status.Certificates {
		if c.Issuer == "" {
			s.warn(fmt.Sprintf("no certificate for %s yet, %s: steady certificates", c.Host, troubleText(c, time.Now())))
		}
	}
}
