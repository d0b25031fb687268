package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func (f *fake) InstallSite(_ context.Context, confDir string, s steady.Site, yes bool) (steady.SiteChange, error) {
	f.note(confDir, s, yes)
	return steady.SiteChange{Name: s.Name, Changed: true}, f.err
}

func (f *fake) RemoveSite(_ context.Context, confDir, name string) (steady.SiteChange, error) {
	f.note(confDir, name)
	return steady.SiteChange{Name: name}, f.err
}

func (f *fake) SiteStatus(_ context.Context, confDir, name string) (steady.SiteStatus, error) {
	f.note(confDir, name)
	return steady.SiteStatus{Name: name, Valid: true}, f.err
}

func TestClient_SitesArriveAsSent(t *testing.T) {
	f := &fake{}
	c := pair(t, f)
	site := steady.Site{Name: "shop-api", Domains: []string{"a.example"}, Upstream: "127.0.0.1:8000", Timeout: time.Minute}
	change, err := c.InstallSite(t.Context(), "/etc/nginx", site, true)
	if err != nil || !change.Changed || change.Name != "shop-api" {
		t.Errorf("%+v, %v", change, err)
	}
	if gone, err := c.RemoveSite(t.Context(), "/x y", "shop-api"); err != nil || gone.Name != "shop-api" {
		t.Errorf("%+v, %v", gone, err)
	}
	if st, err := c.SiteStatus(t.Context(), "/x y", "shop-api"); err != nil || !st.Valid {
		t.Errorf("%+v, %v", st, err)
	}
	want := []any{"/etc/nginx", site, true, "/x y", "shop-api", "/x y", "shop-api"}
	if diff := cmp.Diff(want, f.asked); diff != "" {
		t.Error(diff)
	}
}
