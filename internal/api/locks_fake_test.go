package api_test

import (
	"context"
	"time"

	"gesalpai.ch/steady"
)

func (f *fake) Leases(_ context.Context, project string) (steady.Leases, error) {
	f.note(project)
	return steady.Leases{Held: []steady.Lease{{Project: project, Owner: "eva@host"}}}, f.err
}

func (f *fake) Lock(_ context.Context, l steady.Lease, ticket string, wait time.Duration) (steady.Lease, error) {
	f.note(l.Project, l.Services, l.Owner, l.Message, time.Until(l.Expires).Round(time.Minute), ticket, wait)
	return l, f.err
}

func (f *fake) Unlock(_ context.Context, project string, services []string, who string, force bool) ([]steady.Lease, error) {
	f.note(project, services, who, force)
	return []steady.Lease{{Project: project}}, f.err
}

func (f *fake) Deeds(_ context.Context, q steady.AuditQuery) ([]steady.Deed, error) {
	f.note(q)
	return []steady.Deed{{ID: 3, Command: "deploy"}}, f.err
}
