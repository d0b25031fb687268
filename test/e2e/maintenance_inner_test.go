package e2e

import (
	"net/http"
	"testing"

	"gesalpai.ch/steady/test/inner"
)

// Only published ports are under maintenance: whoever calls by name within the
// project goes on.
func TestMaintenance_CallsFromWithinGoOn(t *testing.T) {
	h := newHost(t, "e2e-more-inner")
	withInner(t, h, "services:\n"+called("svc", "    ports: [\"${API_PORT}:8000\", \"${REPORT_PORT}:7000\"]\n"))
	h.deploy(1)
	answers(t, h.api())
	c := call(t, "e2e-more-inner-caller", h.project+"_default", "load", "-http", "svc:8000", "-tcp", "svc:7000", "-rate", "100")
	for range 3 {
		h.maintain("on")
		if code, _ := once(t, h.api()+"/echo"); code != http.StatusServiceUnavailable {
			t.Errorf("outside: %d", code)
		}
		if d := dialed(t, h.project+"_default", "svc:7000"); d.How != inner.Greeted {
			t.Errorf("within, a connect was %+v", d)
		}
		h.maintain("off")
	}
	r := c.report()
	t.Logf("within\n%s", table(r))
	if r.Sent() == 0 || r.Lost() > 0 || r.Ends() > 0 || r.Failed(inner.PhaseGreeting, inner.PhaseRefused, inner.PhaseConnect) > 0 {
		t.Errorf("within: %d sent, %d lost, %d cut", r.Sent(), r.Lost(), r.Ends())
	}
}
