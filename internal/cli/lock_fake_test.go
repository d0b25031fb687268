package cli

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

func (d *fakeDaemon) Leases(_ context.Context, project string) (steady.Leases, error) {
	d.note("leases %s", project)
	return d.now().Leases, nil
}

func (d *fakeDaemon) Lock(_ context.Context, l steady.Lease, ticket string, wait time.Duration) (steady.Lease, error) {
	d.note("lock %s %v %q for %s wait %s ticket=%t", l.Project, l.Services, l.Message, time.Until(l.Expires).Round(time.Second), wait, ticket != "")
	return l, fails(d.now().Fail)
}

func (d *fakeDaemon) Unlock(_ context.Context, project string, services []string, _ string, force bool) ([]steady.Lease, error) {
	d.note("unlock %s %v force=%t", project, services, force)
	p := d.now()
	return p.Leases.Held, fails(p.Fail)
}

func (d *fakeDaemon) Deeds(_ context.Context, q steady.AuditQuery) ([]steady.Deed, error) {
	d.note("audit %q since=%t %d", q.Project, !q.Since.IsZero(), q.Limit)
	return d.now().Deeds, nil
}
