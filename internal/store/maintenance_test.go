package store_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func TestMaintenance_IsReadAsItWasPut(t *testing.T) {
	s := opened(t)
	one := steady.Maintenance{Project: "shop", Service: "api", Page: "<b>", RetryAfter: time.Minute, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		AllowHeaders: []steady.HeaderSum{{Name: "X-Team", Sum: steady.SumHeader("x")}}, Since: time.Unix(7, 5).UTC(), Who: "eva@host"}
	whole, other := steady.Maintenance{Project: "shop", RetryAfter: 1}, steady.Maintenance{Project: "blog", RetryAfter: 2}
	put := func(project string, ms ...steady.Maintenance) {
		t.Helper()
		if err := s.PutMaintenance(t.Context(), project, ms); err != nil {
			t.Fatal(err)
		}
	}
	is := func(want ...steady.Maintenance) {
		t.Helper()
		got, err := s.Maintenance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]steady.Maintenance{}, want...), got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
	put("blog", other)
	put("shop", one, whole)
	is(other, whole, one)
	put("shop", whole)
	is(other, whole)
	put("shop")
	is(other)
}

func TestMaintenance_GoesWithItsServiceAndItsProject(t *testing.T) {
	s := opened(t)
	route := func(service string, gone bool) steady.Route {
		return steady.Route{Project: "shop", Service: service, Gone: gone}
	}
	left := func(want int, routes ...steady.Route) {
		t.Helper()
		if err := s.PutRoutes(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Maintenance(t.Context()); err != nil || len(got) != want {
			t.Errorf("%v left, want %d (%v)", got, want, err)
		}
	}
	if err := s.PutMaintenance(t.Context(), "shop", []steady.Maintenance{{}, {Service: "api"}, {Service: "web", Open: true}}); err != nil {
		t.Fatal(err)
	}
	left(3, route("api", false), route("web", false))
	left(2, route("api", true))
	left(0, route("web", true))
}

func TestRoutes_KeepHowClientsStick(t *testing.T) {
	s := opened(t)
	want := []steady.Route{{Project: "shop", Service: "api", Release: 1, Sticky: &steady.Sticky{Cookie: "at", TTL: time.Hour}, Ingress: &steady.Ingress{Underscores: true, HTTPPorts: []uint16{80}}}, {Project: "shop", Service: "web", Release: 1}}
	if err := s.PutRoutes(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Routes(t.Context(), "shop")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
