package cli

import (
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestCertificates_EachTellsWhatItIsAndWhatAilsIt(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	const dir = "https://acme.test/dir"
	got := certificateTable([]steady.CertificateStatus{
		{Host: "a.test", Source: dir, Issuer: "CN=R10", NotAfter: now.AddDate(0, 3, 0)},
		{Host: "b.test", Source: dir},
		{Host: "c.test", Source: dir, Error: "refused", Next: now.Add(time.Minute)},
		{Host: "d.test", Source: "/etc/site.pem", Issuer: "CN=own", NotAfter: now, Error: "certificate /etc/site.pem expired on 2026-11-25"},
	}, now)
	for i, want := range []string{"HOST", "a.test acme.test CN=R10 2027-02-25 -", "b.test acme.test - - being obtained",
		"c.test acme.test - - refused; again in 1m", "d.test /etc/site.pem CN=own 2026-11-25 certificate /etc/site.pem expired"} {
		if line := strings.Join(strings.Fields(strings.Split(got, "\n")[i]), " "); !strings.HasPrefix(line, want) {
			t.Errorf("line %d is %q, want %q", i, line, want)
		}
	}
}

func TestRoutes_AreToldByThePlan(t *testing.T) {
	rule := steady.Rule{Host: "a.test", Path: "/v1", Port: 8000, HTTP: ":80", HTTPS: ":443", TLS: steady.TLS{CA: "https://acme.test/dir"}}
	files, plain := rule, rule
	files.TLS = steady.TLS{Certificate: "/etc/site.pem"}
	plain.HTTPS = ""
	said := planText(steady.Plan{Project: "shop", Services: []steady.ServicePlan{{Service: "api", Rules: []steady.Rule{rule, files, plain}}}}, style{}, time.Now())
	for _, want := range []string{
		"route   https://a.test/v1 to port 8000; certificate from acme.test, obtained in the background",
		"route   https://a.test/v1 to port 8000; certificate /etc/site.pem",
		"route   http://a.test/v1 to port 8000; without TLS",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the plan lacks %q:\n%s", want, said)
		}
	}
	reach := reachText(steady.ServiceStatus{Ports: []steady.Port{{Published: 80, Target: 8000}}, Rules: []steady.Rule{rule}})
	if reach != "80->8000, a.test/v1->8000" {
		t.Errorf("reached at %q", reach)
	}
}
