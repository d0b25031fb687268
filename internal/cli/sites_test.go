package cli

import (
	"context"

	"gesalpai.ch/steady"
)

func (d *fakeDaemon) InstallSite(_ context.Context, confDir string, s steady.Site, yes bool) (steady.SiteChange, error) {
	d.note("install %s %s yes=%t", confDir, object(s), yes)
	p := d.now()
	return p.Change, fails(p.Fail)
}

func (d *fakeDaemon) RemoveSite(_ context.Context, confDir, name string) (steady.SiteChange, error) {
	d.note("remove %s %s", confDir, name)
	p := d.now()
	return p.Change, fails(p.Fail)
}

func (d *fakeDaemon) SiteStatus(_ context.Context, confDir, name string) (steady.SiteStatus, error) {
	d.note("site %s %s", confDir, name)
	p := d.now()
	return p.Site, fails(p.Fail)
}
