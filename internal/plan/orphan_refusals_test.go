package plan_test

import (
	"errors"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func TestHandover_WhatCannotBeHandedOverIsRefusedWithTheWayOn(t *testing.T) {
	at := func(host string, p uint16) change {
		return func(s *steady.Spec) {
			port(p)(s)
			s.Ports[0].HostIP = host
		}
	}
	scaled := new(world).has2("web", port(80)).has("site", port(80))
	scaled.in.Kind = steady.KindScale
	for _, tt := range []struct {
		name       string
		w          *world
		is         error
		text, hint string
	}{
		{"a port of one that the deploy leaves", new(world).wants("b", port(80)).has("b").has("a", port(80)).only("a"),
			steady.ErrPortTaken, "b asks for port 80, which is published by a still, and this deploy leaves that one as it is", "steady deploy a b, where the file has a without it; or steady down a"},
		{"a port that both want", new(world).wants("b", port(80)).wants("a", port(80)).has("a", port(80)).only(),
			steady.ErrPortTaken, "both publish port 80", "another published port"},
		{"ports that are exchanged where one goes first", new(world).wants("a", port(81), writes("data")).has("a", port(80), writes("data")).wants("b", port(80)).has("b", port(81)).only(),
			steady.ErrPortTaken, "services a and b exchange published ports or routes, and one of them is replaced old first", "first and deploy"},
		{"a port at another address of the host", new(world).wants("site", at("127.0.0.1", 80)).has("web", port(80)).only(),
			steady.ErrPortTaken, "web has port 80, and site wants 127.0.0.1:80", "publish 80 first"},
		{"a scaling of what has handed its port over", scaled,
			steady.ErrPortTaken, "web asks for port 80, which is published by site by now", "put web back into the Compose file in the place of site, then steady deploy; or steady down site"},
		{"a volume that an orphan writes to", new(world).wants("database", writes("data")).has("db", writes("data")).only(),
			steady.ErrOrphan, "its container shop-db-1-1 writes to data, as database would, and two of them must never", "steady deploy --remove-orphans has database take its place, or steady down db"},
		{"a port that Docker Compose's orphan publishes", new(world).wants("site", port(80)).made("web", ports(80)).only(),
			steady.ErrOrphan, "its container shop-web-1 publishes port 80, which site shall have", "--remove-orphans"},
		{"two heirs of one volume", new(world).wants("a", writes("data")).wants("b", writes("data")).has("db", writes("data")).only().removing(),
			steady.ErrOrphan, "both a and b would write to data in its place", "steady down db"},
		{"a job on an orphan's volume", new(world).wants("move", job, writes("data")).has("db", writes("data")).only().removing(),
			steady.ErrOrphan, "writes to data", "steady down db, then deploy again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := plan.Build(tt.w.in)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(steady.AsError(err).Hint, tt.hint) {
				t.Errorf("%v\nhint: %s", err, steady.AsError(err).Hint)
			}
		})
	}
}

// Where the file has several writers anyway, a rename brings no fewer.
func TestHandover_SeveralWritersOverlap(t *testing.T) {
	for name, w := range map[string]*world{
		"start-first": new(world).wants("site", port(80), writes("data"), order(steady.StartFirst)).has("web", port(80), writes("data")).only(),
		"replicas":    new(world).wants("site", port(80), writes("data"), replicas(2)).has("web", port(80), writes("data")).only(),
	} {
		if p, err := plan.Build(w.in); err != nil || strings.Contains(p.String(), "withdraw") {
			t.Errorf("%s: %v\n%s", name, err, p)
		}
	}
}

func TestDown_NamedServicesLeaveTheRestAsItIs(t *testing.T) {
	w := new(world).moves("api", port(8000), needs("db")).moves("db", writes("data"))
	w.in.Options.Services = []string{"db"}
	db := w.in.Serving["db"]
	db.Spec.Volumes = []steady.Volume{{Key: "data", Name: "data"}, {Key: "theirs", Name: "theirs", External: true}, {Key: "both", Name: "both"}}
	w.in.Serving["db"] = db
	api := w.in.Serving["api"]
	api.Spec.Volumes = []steady.Volume{{Key: "both", Name: "both"}}
	w.in.Serving["api"] = api
	want := `shop/db remove 1→0: it was named
  shift db=0[]
  db/drain/shop-db-1-1 < shift
  db/stop/shop-db-1-1 < db/drain/shop-db-1-1
  db/remove/shop-db-1-1 < db/stop/shop-db-1-1, shift
  db/forget < db/remove/shop-db-1-1, db/stop/shop-db-1-1, shift
  db/clean =data < db/forget
`
	if got := plan.Down(w.in, true).String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := plan.Down(w.in, false).String(); strings.Contains(got, "clean") {
		t.Errorf("volumes that nobody asked about:\n%s", got)
	}
}
