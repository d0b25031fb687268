package steady_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestMaintenanceOf_AServicesOwnGoesBeforeItsProjects(t *testing.T) {
	all := []steady.Maintenance{
		{Project: "shop"}, {Project: "shop", Service: "api", Message: "own"}, {Project: "shop", Service: "web", Open: true},
		{Project: "blog", Service: "api"},
	}
	for ref, want := range map[string]string{"shop/api": "shop/api", "shop/db": "shop", "shop/web": "", "blog/api": "blog/api", "blog/web": "", "wiki/api": ""} {
		project, service, _ := strings.Cut(ref, "/")
		got := ""
		if m := steady.MaintenanceOf(all, project, service); m != nil {
			got = m.Ref()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

func TestMaintenance_ShownTellsNeitherPageNorSums(t *testing.T) {
	m := steady.Maintenance{Page: "<b>x</b>", AllowHeaders: []steady.HeaderSum{{Name: "X-Team", Sum: steady.SumHeader("secret")}}}
	got := m.Shown()
	if got.Page != "8 bytes" || got.AllowHeaders[0] != (steady.HeaderSum{Name: "X-Team"}) {
		t.Errorf("shown %+v", got)
	}
	if m.AllowHeaders[0].Sum == "" {
		t.Error("it is changed by being shown")
	}
}

func TestMaintenance_ValidateBoundsIt(t *testing.T) {
	good := steady.Maintenance{RetryAfter: time.Second, Page: strings.Repeat("x", steady.MaxMaintenancePage)}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for what, spoil := range map[string]func(*steady.Maintenance){
		"65537 bytes": func(m *steady.Maintenance) { m.Page += "x" },
		"message":     func(m *steady.Maintenance) { m.Message = strings.Repeat("x", steady.MaxMaintenanceMessage+1) },
		"retry":       func(m *steady.Maintenance) { m.RetryAfter = 0 },
		"header":      func(m *steady.Maintenance) { m.AllowHeaders = []steady.HeaderSum{{Name: "X-Team"}} },
	} {
		m := good
		spoil(&m)
		err := m.Validate()
		if !errors.Is(err, steady.ErrUsage) || !strings.Contains(err.Error(), what) || steady.AsError(err).Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "203.0.113.7/24": "203.0.113.0/24", "2001:db8::1": "2001:db8::1/128", "::ffff:10.0.0.1": "10.0.0.1/32",
		"": "", "host": "", "10.0.0.1/33": "", "fe80::1%eth0": "", "::ffff:10.0.0.0/104": "",
	} {
		p, err := steady.ParsePrefix(in)
		if want == "" {
			if err == nil {
				t.Errorf("%q is %s", in, p)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("%q is %s, %v, want %s", in, p, err, want)
		}
	}
}
