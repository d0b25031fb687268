package nginx

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"

	"gesalpai.ch/steady"
)

//go:embed site.conf.tmpl
var siteText string

var siteTemplate = template.Must(template.New("site").Parse(siteText))

// mark is how a site's file begins that steady wrote.
const mark = "# Written by steady "

// beyond is how much longer than the app nginx waits, so that it is the app's
// own answer that a client gets.
const beyond = 10 * time.Second

// page is a site as the template wants it.
type page struct {
	steady.Site
	ID          string // of variables, upstream and named location
	Names       string
	Log         string // of the log files, without their ends
	HTTP, Main  []string
	HTTPSSuffix string
	Patience    string

	HTTP2Directive, UpstreamTimeout, PoliteReload bool
}

// Render gives the site's file in the words of the nginx that is v; a zero v is
// an unknown one, and gets the words that every nginx from 1.15.3 on takes. What
// is wrong with the site is steady.ErrUsage.
func Render(s steady.Site, v Version) (string, error) {
	if err := check(s); err != nil {
		return "", err
	}
	unknown := v == Version{}
	p := page{
		Site: s, ID: identifier(s.Name), Names: strings.Join(s.Domains, " "), Log: filepath.Join(s.LogDir, s.Name),
		HTTP: listens(s.HTTPPort, ""), Patience: fmt.Sprintf("%ds", int((s.Timeout + beyond).Seconds())),
		HTTP2Directive: v.AtLeast(http2Directive), UpstreamTimeout: unknown || v.AtLeast(upstreamTimeout), PoliteReload: v.AtLeast(politeReload),
	}
	p.Main = p.HTTP
	if s.TLS() {
		how := " ssl http2"
		if p.HTTP2Directive {
			how = " ssl"
		}
		p.Main = listens(s.HTTPSPort, how)
	}
	if s.HTTPSPort != steady.DefaultHTTPSPort {
		p.HTTPSSuffix = fmt.Sprintf(":%d", s.HTTPSPort)
	}
	var b bytes.Buffer
	if err := siteTemplate.Execute(&b, p); err != nil {
		return "", fmt.Errorf("render site %s: %w", s.Name, err)
	}
	return b.String(), nil
}

// listens are the listen directives' arguments, with v6 where the kernel has it:
// nginx does not start on an address family that is not there.
func listens(port uint16, how string) []string {
	out := []string{fmt.Sprintf("%d%s", port, how)}
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		out = append(out, fmt.Sprintf("[::]:%d%s", port, how))
	}
	return out
}

var notInIdentifier = regexp.MustCompile(`[^a-z0-9_]`)

// identifier is a word for the names that all sites of an nginx share.
func identifier(name string) string {
	return "steady_" + notInIdentifier.ReplaceAllString(strings.ToLower(name), "_")
}

var (
	siteName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	serverName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	address    = regexp.MustCompile(`^([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]+$`)
	bodySize   = regexp.MustCompile(`^[0-9]+[kKmMgG]?$`)
	plainPath  = regexp.MustCompile(`^/[^\s;{}"'\\$#]*$`)
	reference  = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)
)

// check refuses what would not be one word of nginx's language.
func check(s steady.Site) error {
	wrong := func(text, hint string) error { return steady.ErrUsage.With(text, hint) }
	switch {
	case !siteName.MatchString(s.Name):
		return wrong(fmt.Sprintf("%q is no name of a site", s.Name), "letters, digits, dots and dashes: --name shop-api")
	case len(s.Domains) == 0:
		return wrong("a site needs a domain", "--domain api.example.org")
	case !address.MatchString(s.Upstream):
		return wrong(fmt.Sprintf("%q is no address of an upstream", s.Upstream), "as in 127.0.0.1:8000")
	case !reference.MatchString(s.Ref):
		return wrong(fmt.Sprintf("%q is no service", s.Ref), "steady status")
	case !bodySize.MatchString(s.MaxBody):
		return wrong(fmt.Sprintf("%q is no size of an upload", s.MaxBody), "as in --max-body 100m")
	case s.Timeout < time.Second:
		return wrong(fmt.Sprintf("a timeout of %s is none", s.Timeout), "as in --timeout 120s")
	case s.TLS() && (s.Certificate == "" || s.CertificateKey == ""):
		return wrong("a certificate and its key go together", "--certificate FILE --certificate-key FILE")
	case s.HTTPPort == 0 || s.TLS() && (s.HTTPSPort == 0 || s.HTTPSPort == s.HTTPPort):
		return wrong(fmt.Sprintf("nginx cannot listen on ports %d and %d", s.HTTPPort, s.HTTPSPort), "--http-port 80 --https-port 443")
	}
	for _, d := range s.Domains {
		if !serverName.MatchString(d) {
			return wrong(fmt.Sprintf("%q is no domain", d), "as in --domain api.example.org, without scheme and port")
		}
	}
	for _, p := range []string{s.Certificate, s.CertificateKey, s.ACMEWebroot, s.LogDir} {
		if p != "" && !plainPath.MatchString(p) {
			return wrong(fmt.Sprintf("%q is no absolute path of plain characters", p), "nginx's language has no room for it: choose another place")
		}
	}
	return nil
}
