package nginx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// answerWithin is how long an upstream may take to say anything at all.
const answerWithin = 5 * time.Second

// Status looks at a site: its file, what nginx makes of it, and whether somebody
// answers behind it. A nginx that is missing is steady.ErrNginx; all else that is
// wrong is part of the status.
func (h *Host) Status(ctx context.Context, name string) (steady.SiteStatus, error) {
	out := steady.SiteStatus{Name: name, Path: h.available(name)}
	v, err := h.Version(ctx)
	if err != nil {
		return out, err
	}
	out.Nginx = v.String()
	if !siteName.MatchString(name) {
		return out, noSite(name, h.confDir)
	}
	before, err := h.look(name)
	if err != nil {
		return out, err
	}
	if before.text == nil {
		return out, noSite(name, h.confDir)
	}
	out.Written, out.Enabled, out.Ours = true, before.leads(), strings.HasPrefix(*before.text, mark)
	describe(&out, *before.text)
	c, err := h.dump(ctx)
	out.Valid = err == nil
	if err != nil {
		out.Said = steady.AsError(err).Tail
	}
	if master := h.master(ctx, c); master > 0 {
		out.Running, out.Reloaded = true, reloaded(master)
	}
	ask(ctx, &out)
	return out, nil
}

// describe tells what the site's file says.
func describe(out *steady.SiteStatus, text string) {
	c := configuration{files: []file{{directives: parse(text)}}}
	for _, s := range c.servers() {
		for _, n := range s.names {
			if !slices.Contains(out.Domains, n) {
				out.Domains = append(out.Domains, n)
			}
		}
	}
	out.Upstream = upstreamsOf(text)
	var certificate, key string
	c.walk(func(_ string, d directive) {
		switch {
		case len(d.words) < 2:
		case d.words[0] == "ssl_certificate":
			certificate = d.words[1]
		case d.words[0] == "ssl_certificate_key":
			key = d.words[1]
		}
	})
	if certificate != "" {
		out.Expires = expiry(certificate, key)
	}
}

// ask sends one request to the first upstream, past nginx.
func ask(ctx context.Context, out *steady.SiteStatus) {
	if len(out.Upstream) == 0 {
		out.Fault = "the site passes nothing on"
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+out.Upstream[0]+"/", nil)
	if err != nil {
		out.Fault = fmt.Sprintf("%s is no address", out.Upstream[0])
		return
	}
	if len(out.Domains) > 0 {
		req.Host = out.Domains[0]
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		out.Fault = fmt.Sprintf("%s does not answer: %v", out.Upstream[0], cause(err))
		return
	}
	res.Body.Close()
	out.Answers = fmt.Sprintf("%d on /", res.StatusCode)
}

// cause leaves out what the sentence says already.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return errors.Unwrap(err)
}
