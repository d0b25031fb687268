package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/nginx"
)

// siteWithin bounds a change of nginx: two tests of its configuration and a reload.
const siteWithin = time.Minute

// sites serves the part of the API that is about the host's nginx: one Host for
// each configuration directory, so that changes of one nginx take turns.
type sites struct {
	mu    sync.Mutex
	hosts map[string]*nginx.Host
}

func (s *sites) host(confDir string) (*nginx.Host, error) {
	if confDir == "" {
		confDir = steady.DefaultConfDir
	}
	if !filepath.IsAbs(confDir) {
		return nil, steady.ErrUsage.With(fmt.Sprintf("%s is no absolute path", confDir), "--conf-dir "+steady.DefaultConfDir)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	confDir = filepath.Clean(confDir)
	if s.hosts[confDir] == nil {
		if s.hosts == nil {
			s.hosts = map[string]*nginx.Host{}
		}
		s.hosts[confDir] = nginx.New(nginx.Options{ConfDir: confDir})
	}
	return s.hosts[confDir], nil
}

// InstallSite implements api.Backend. It goes on when the caller leaves: a site
// is installed or taken back, never half.
func (s *sites) InstallSite(ctx context.Context, confDir string, site steady.Site, yes bool) (steady.SiteChange, error) {
	h, err := s.host(confDir)
	if err != nil {
		return steady.SiteChange{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), siteWithin)
	defer cancel()
	return h.Install(ctx, site, yes)
}

// RemoveSite implements api.Backend; it goes on when the caller leaves.
func (s *sites) RemoveSite(ctx context.Context, confDir, name string) (steady.SiteChange, error) {
	h, err := s.host(confDir)
	if err != nil {
		return steady.SiteChange{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), siteWithin)
	defer cancel()
	return h.Remove(ctx, name)
}

// SiteStatus implements api.Backend.
func (s *sites) SiteStatus(ctx context.Context, confDir, name string) (steady.SiteStatus, error) {
	h, err := s.host(confDir)
	if err != nil {
		return steady.SiteStatus{}, err
	}
	return h.Status(ctx, name)
}

// RenderSite gives a site's file in the words of the nginx that is installed here,
// if one is. It needs no daemon and no privilege.
func RenderSite(ctx context.Context, site steady.Site) (string, error) {
	v, err := nginx.New(nginx.Options{}).Version(ctx)
	if err != nil {
		v = nginx.Version{} // the words that every nginx takes
	}
	return nginx.Render(site, v)
}
