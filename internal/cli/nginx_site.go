package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gesalpai.ch/steady"
)

// siteFlags say what a site of nginx is to be.
type siteFlags struct {
	domains                  list
	service, name            string
	certificate, key, webdir string
	maxBody, logDir          string
	timeout                  time.Duration
	httpPort, httpsPort      uint16
}

func (f *siteFlags) add(fs *pflag.FlagSet) {
	fs.Var(&f.domains, "domain", "server `name` the site answers for; repeatable")
	fs.StringVar(&f.service, "service", "", "`service` that requests are passed on to, as SERVICE or SERVICE:PORT with its port in the container (default: the only one that publishes a port)")
	fs.StringVar(&f.name, "name", "", "`name` of the site and its logs (default: PROJECT-SERVICE)")
	fs.StringVar(&f.certificate, "certificate", "", "certificate `file`, PEM with its chain; makes the site HTTPS, with a redirect from HTTP")
	fs.StringVar(&f.key, "certificate-key", "", "`file` of the certificate's key, PEM")
	fs.StringVar(&f.webdir, "acme-webroot", steady.DefaultACMEWebroot, "`directory` from which /.well-known/acme-challenge/ is answered, as for certbot --webroot; empty: none")
	fs.StringVar(&f.maxBody, "max-body", steady.DefaultSiteMaxBody, "largest upload, in nginx's words; a `size` of 0 is no limit")
	fs.DurationVar(&f.timeout, "timeout", steady.DefaultSiteTimeout, "longest `duration` of a request; nginx waits 10s more")
	fs.StringVar(&f.logDir, "log-dir", steady.DefaultSiteLogDir, "`directory` of NAME-access.log and NAME-error.log")
	fs.Uint16Var(&f.httpPort, "http-port", steady.DefaultHTTPPort, "`port` for HTTP")
	fs.Uint16Var(&f.httpsPort, "https-port", steady.DefaultHTTPSPort, "`port` for HTTPS")
}

// site makes the site of the flags and the Compose file.
func (s *session) site(ctx context.Context, f siteFlags) (steady.Site, error) {
	p, err := s.load(ctx, nil)
	if err != nil {
		return steady.Site{}, err
	}
	behind, err := behindSite(p.Name, p.Specs, f.service)
	if err != nil {
		return steady.Site{}, err
	}
	spec, port := behind.spec, behind.port
	if port.HostIP == "" || port.HostIP == "0.0.0.0" || port.HostIP == "::" {
		s.warn(fmt.Sprintf("%s publishes %d to everybody, past nginx: 127.0.0.1:%d:%d in the Compose file keeps it to this machine",
			spec.Service, port.Published, port.Published, port.Target))
	}
	site := steady.Site{
		Name: f.name, Ref: spec.Ref(), Domains: f.domains, Upstream: loopback(port), Timeout: f.timeout, MaxBody: f.maxBody,
		HTTPPort: f.httpPort, HTTPSPort: f.httpsPort,
	}
	if site.Name == "" {
		site.Name = spec.Project + "-" + spec.Service
	}
	for _, path := range []struct {
		given string
		is    *string
	}{{f.certificate, &site.Certificate}, {f.key, &site.CertificateKey}, {f.webdir, &site.ACMEWebroot}, {f.logDir, &site.LogDir}} {
		if path.given == "" {
			continue
		}
		if *path.is, err = filepath.Abs(path.given); err != nil { // the daemon has another working directory
			return steady.Site{}, fmt.Errorf("find %s: %w", path.given, err)
		}
	}
	return site, nil
}

// published is one port of one service that nginx could pass on to.
type published struct {
	spec steady.Spec
	port steady.Port
}

func (p published) String() string { return fmt.Sprintf("%s:%d", p.spec.Service, p.port.Target) }

// behindSite finds the published port that wanted means: SERVICE, SERVICE:PORT, or
// nothing where only one is published.
func behindSite(project string, specs []steady.Spec, wanted string) (published, error) {
	name, port, _ := strings.Cut(wanted, ":")
	if name != "" && !slices.ContainsFunc(specs, func(s steady.Spec) bool { return s.Service == name }) {
		return published{}, noService(project, name, specs)
	}
	var all []published
	for _, spec := range specs {
		for _, p := range spec.Ports {
			if p.Transport != "udp" && (name == "" || spec.Service == name) && (port == "" || fmt.Sprint(p.Target) == port) {
				all = append(all, published{spec, p})
			}
		}
	}
	switch {
	case len(all) == 0:
		return published{}, nothingPublished(wanted)
	case len(all) > 1:
		var names []string
		for _, p := range all {
			names = append(names, p.String())
		}
		return published{}, steady.ErrUsage.With("several ports are published: "+listed(names), "--service "+names[0])
	case all[0].port.Published == 0:
		return published{}, steady.ErrUsage.With(all[0].String()+" is published on a port of the proxy's choice, and nginx needs a fixed one",
			fmt.Sprintf(`in the Compose file: ports: ["127.0.0.1:%d:%d"]`, all[0].port.Target, all[0].port.Target))
	}
	return all[0], nil
}

func nothingPublished(wanted string) error {
	hint := `in the Compose file: ports: ["127.0.0.1:8000:8000"]`
	if wanted == "" {
		return steady.ErrUsage.With("no service publishes a port that nginx could pass on to", hint)
	}
	return steady.ErrUsage.With(wanted+" publishes no port that nginx could pass on to", hint)
}
