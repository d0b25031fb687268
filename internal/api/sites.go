package api

import (
	"context"
	"net/http"
	"net/url"

	"gesalpai.ch/steady"
)

// Sites is the part of a Backend that is about the host's nginx. confDir is the
// directory of its configuration, empty for Debian's.
type Sites interface {
	// InstallSite returns when nginx has the site in force, or everything is as it
	// was: steady.ErrUsage, steady.ErrNginx, steady.ErrSiteTaken.
	InstallSite(ctx context.Context, confDir string, s steady.Site, yes bool) (steady.SiteChange, error)
	// RemoveSite returns when nginx goes on without the site; steady.ErrNoSite.
	RemoveSite(ctx context.Context, confDir, name string) (steady.SiteChange, error)
	SiteStatus(ctx context.Context, confDir, name string) (steady.SiteStatus, error)
}

type (
	installSiteRequest struct {
		ConfDir string      `json:"conf_dir,omitempty"`
		Site    steady.Site `json:"site"`
		Yes     bool        `json:"yes,omitempty"` // replace a file that steady did not write
	}
	removeSiteRequest struct {
		ConfDir string `json:"conf_dir,omitempty"`
	}
)

func (h handler) installSite(r *http.Request) (any, error) {
	var q installSiteRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.InstallSite(r.Context(), q.ConfDir, q.Site, q.Yes)
}

func (h handler) removeSite(r *http.Request) (any, error) {
	var q removeSiteRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	return h.backend.RemoveSite(r.Context(), q.ConfDir, r.PathValue("site"))
}

func (h handler) siteStatus(r *http.Request) (any, error) {
	return h.backend.SiteStatus(r.Context(), r.URL.Query().Get("conf_dir"), r.PathValue("site"))
}

// InstallSite asks for a site of the host's nginx.
func (c *Client) InstallSite(ctx context.Context, confDir string, s steady.Site, yes bool) (steady.SiteChange, error) {
	return call[steady.SiteChange](ctx, c, http.MethodPost, "/v1/nginx/sites", installSiteRequest{confDir, s, yes})
}

// RemoveSite asks for the removal of a site.
func (c *Client) RemoveSite(ctx context.Context, confDir, name string) (steady.SiteChange, error) {
	return call[steady.SiteChange](ctx, c, http.MethodPost, "/v1/nginx/sites/"+url.PathEscape(name)+"/remove", removeSiteRequest{confDir})
}

// SiteStatus asks how a site is.
func (c *Client) SiteStatus(ctx context.Context, confDir, name string) (steady.SiteStatus, error) {
	q := url.Values{"conf_dir": {confDir}}
	return call[steady.SiteStatus](ctx, c, http.MethodGet, "/v1/nginx/sites/"+url.PathEscape(name)+"?"+q.Encode(), nil)
}
