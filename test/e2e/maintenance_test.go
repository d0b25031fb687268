package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

const (
	maintenances = 12
	openAsks     = 200
)

// maintain puts the project under maintenance, or ends it.
func (h *host) maintain(args ...string) {
	h.t.Helper()
	if r := h.steady(append([]string{"maintenance"}, args...)...); r.code != 0 {
		h.t.Fatalf("maintenance %v: exit %d\n%s\ndaemon:\n%s", args, r.code, r.err, h.log)
	}
}

// once asks the URL once, on a connection of its own.
func once(t testing.TB, url string, header ...string) (int, string) {
	t.Helper()
	return onceWith(t, &http.Transport{DisableKeepAlives: true}, url, header...)
}

func onceWith(t testing.TB, tr *http.Transport, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: tr, Timeout: soon}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// shut checks that a visitor gets the page.
func (h *host) shut(says string) {
	h.t.Helper()
	if code, body := once(h.t, h.api()+"/echo"); code != http.StatusServiceUnavailable || !strings.Contains(body, says) {
		h.t.Errorf("a visitor got %d %q, want 503 and %q", code, body, says)
	}
}

// open checks that a visitor gets the app.
func (h *host) open() {
	h.t.Helper()
	if code, body := once(h.t, h.api()+"/echo"); code != http.StatusOK {
		h.t.Errorf("a visitor got %d %q, want 200", code, body)
	}
}

// onlyPages checks that whatever the load did not get was the page, whole.
func onlyPages(t *testing.T, r load.Report) {
	t.Helper()
	t.Logf("\n%s", r)
	pages := 0
	for _, s := range r.Loads {
		pages += s.Statuses[http.StatusServiceUnavailable]
		for code := range s.Statuses {
			if code != http.StatusOK && code != http.StatusServiceUnavailable && code != http.StatusSwitchingProtocols {
				t.Errorf("%s: status %d", s.Load, code)
			}
		}
	}
	for _, lost := range r.AllLosses() {
		if lost.Phase != load.Status || !strings.Contains(lost.Err, "503") {
			t.Errorf("%s: %s: %s", lost.ID, lost.Phase, lost.Err)
		}
	}
	if pages == 0 || r.OK() == 0 || r.Unsent() > 0 {
		t.Errorf("%d pages, %d as it should be, %d unsent: the load saw not enough", pages, r.OK(), r.Unsent())
	}
}

func TestMaintenance_OnAndOffUnderLoadIsTheAppOrThePage(t *testing.T) {
	h := swiftHost(t, "e2e-more-maint")
	small(h, "")
	page := h.write("down.html", "<!doctype html><title>down</title>We move house.")
	h.deploy(1)
	l := load.Start(load.Options{URL: h.api(), Rate: rate, Duration: 5 * time.Minute})
	answers(t, h.api())
	for i := range maintenances {
		h.maintain("on", "--page", page)
		h.shut("We move house.")
		if i == maintenances/2 {
			h.deploy(2)
			h.shut("We move house.")
		}
		h.maintain("on", "web", "--message", "Still at it")
		h.shut("Still at it")
		h.maintain("off")
		for range openAsks { // time for the load to meet the app
			h.open()
		}
	}
	r := l.Stop()
	onlyPages(t, r)
	if wrong := r.Judge(r.Ascending()...); len(wrong) > 0 {
		t.Errorf("%d answers of the wrong release", len(wrong))
	}
	if got := answers(t, h.api()); got != "2" {
		t.Errorf("release %s answers: the deploy within the maintenance did not count", got)
	}
}

// Restarts must not open it for a moment: no answer of the app's may come between
// on and off.
func TestMaintenance_OutlivesDaemonAndProxy(t *testing.T) {
	h := swiftHost(t, "e2e-more-keep")
	small(h, "")
	h.deploy(1)
	answers(t, h.api())
	h.maintain("on", "--message", "at it")
	l := load.Start(load.Options{URL: h.api(), Rate: 150, Duration: 5 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{KeepAlive: 1, Fresh: 1, Post: 1}})
	for range 3 {
		h.stop()
		h.shut("at it")
		h.boot()
		h.shut("at it")
		killProxy(h)
		h.shut("at it")
	}
	h.kill()
	h.shut("at it")
	h.boot()
	r := l.Stop()
	t.Logf("\n%s", r)
	refused := 0
	for _, s := range r.Loads {
		if s.Statuses[http.StatusOK] > 0 || s.Statuses[http.StatusServiceUnavailable] == 0 {
			t.Errorf("%s: statuses %v between on and off", s.Load, s.Statuses)
		}
		refused += s.Lost[load.Refused] + s.Lost[load.Connect]
	}
	if refused > 0 {
		t.Errorf("%d connects were refused", refused)
	}
	if s := h.steady("status"); !strings.Contains(s.err, "under maintenance: web") {
		t.Errorf("status does not show it:\n%s%s", s.out, s.err)
	}
	h.maintain("off")
	h.open()
}

func TestMaintenance_BadInputChangesNothing(t *testing.T) {
	h := newHost(t, "e2e-more-bad")
	small(h, "  worker:\n    image: gesalp-api:v1\n    environment: { RELEASE: \"1\" }\n")
	h.deploy(1)
	large := h.write("large.html", strings.Repeat("x", 64<<10+1))
	refused(t, h.steady("maintenance", "on", "--page", large), 2, "large.html", "65536")
	refused(t, h.steady("maintenance", "on", "nobody"), 2, "nobody")
	refused(t, h.steady("maintenance", "on", "worker"), 2, "publishes no port")
	refused(t, h.steady("maintenance", "on", "-p", "e2e-more-nobody"), 2, "e2e-more-nobody")
	h.open()
	if r := h.steady("maintenance", "status"); r.code != 0 || strings.Contains(r.out, "worker") || !strings.Contains(r.out, "web      open") {
		t.Errorf("status: exit %d\n%s%s", r.code, r.out, r.err)
	}
}
