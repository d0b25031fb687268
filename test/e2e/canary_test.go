package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
	"gesalpai.ch/steady/test/load"
)

const (
	guests = 150 // clients with a cookie
	points = 2.0 // how far a share may be from its weight
)

// perStep is how many requests are counted in a step: many with STEADY_E2E_ROLLOUTS,
// as in make soak.
func perStep() int {
	if os.Getenv("STEADY_E2E_ROLLOUTS") != "" {
		return 10_000
	}
	return 900
}

// canaryHost tries out what is deployed to it, step by step as it is told.
func canaryHost(t *testing.T, project, keys string) *host {
	t.Helper()
	h := swiftHost(t, project)
	small(h, "      canary: { "+keys+" }\n")
	h.deploy(1)
	return h
}

// stage is how far the canary is; nil: none is under way.
func (h *host) stage() *steady.Stage {
	h.t.Helper()
	var status steady.Status
	if r := h.steady("status", "--json"); json.Unmarshal([]byte(r.out), &status) != nil || status.Rollout == nil {
		return nil
	}
	return status.Rollout.Stage
}

func (h *host) step(number int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("the canary is at step %d", number), func() bool { s := h.stage(); return s != nil && s.Number == number })
}

// begin deploys a release and waits for its first step.
func (h *host) begin(release int) {
	h.t.Helper()
	h.env["GESALP_RELEASE"] = fmt.Sprint(release)
	if r := h.steady("deploy", "-y", "-d"); r.code != 0 {
		h.t.Fatalf("deploy: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.step(1)
}

// hears runs a command that must say something.
func (h *host) hears(want string, args ...string) {
	h.t.Helper()
	if r := h.steady(args...); r.code != 0 || !strings.Contains(r.out, want) {
		h.t.Errorf("steady %v: exit %d, want %q\n%s%s", args, r.code, want, r.out, r.err)
	}
}

// counted waits until the proxy has counted n requests more.
func (h *host) counted(n int) {
	h.t.Helper()
	c := proxy.NewClient(filepath.Join(h.run, "proxy.sock"))
	requests := func() (sum int64) {
		traffic, err := c.Traffic(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		for _, counts := range traffic[h.project+"/web"] {
			sum += counts.Requests
		}
		return sum
	}
	before := requests()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(2 * time.Minute); requests() < before+int64(n); {
		select {
		case <-tick.C:
		case <-late:
			h.t.Fatalf("%d requests have not come", n)
		}
	}
}

// window is a time in which a share was in force.
type window struct {
	from, to time.Time
	percent  float64
}

// shares compares the answers of each window with its weight.
func shares(t *testing.T, r load.Report, release int, windows []window) {
	t.Helper()
	for _, w := range windows {
		on, of := 0, 0
		for _, a := range r.Answers() {
			if a.Release == 0 || r.Started.Add(a.Sent).Before(w.from) || r.Started.Add(a.Sent).After(w.to) {
				continue
			}
			if of++; a.Release == release {
				on++
			}
		}
		share := 100 * float64(on) / float64(max(of, 1))
		t.Logf("at %g %%: %d of %d, %.2f %%", w.percent, on, of, share)
		if of < perStep()/2 || math.Abs(share-w.percent) > points {
			t.Errorf("at %g %%: %d of %d, %.2f %%", w.percent, on, of, share)
		}
	}
}

// guest is a client with a cookie.
type guest struct {
	client *http.Client
	at     int // release that answered last
}

// crowd are clients that come back. Their jars are theirs, their connections shared.
func crowd(t *testing.T) []*guest {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(tr.CloseIdleConnections)
	out := make([]*guest, guests)
	for i := range out {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = &guest{client: &http.Client{Transport: tr, Jar: jar, Timeout: soon}}
	}
	return out
}

// visit has each come back twice: none may change within a step, or ever go back. It
// gives how many are at the release.
func (h *host) visit(all []*guest, release int) int {
	h.t.Helper()
	on := 0
	for i, v := range all {
		was := v.at
		for range 2 {
			now := h.answered(v.client, "")
			if v.at > now {
				h.t.Fatalf("client %d went back from release %d to %d", i, v.at, now)
			}
			if v.at != was && v.at != now {
				h.t.Fatalf("client %d changed within a step: %d, %d, %d", i, was, v.at, now)
			}
			v.at = now
		}
		if v.at == release {
			on++
		}
	}
	return on
}

// answered is the release that answers a client.
func (h *host) answered(c *http.Client, canary string) int {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.api()+"/echo", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if canary != "" {
		req.Header.Set("X-Canary", canary)
	}
	res, err := c.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	var said struct{ Release string }
	body, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(body, &said) != nil {
		h.t.Fatalf("status %d, %v: %s", res.StatusCode, err, body)
	}
	n, err := strconv.Atoi(said.Release)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// asked checks that the header decides.
func (h *host) asked(always, never int) {
	h.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}
	for range 5 {
		if a, n := h.answered(c, "always"), h.answered(c, "never"); a != always || n != never {
			h.t.Errorf("always: release %d, want %d; never: release %d, want %d", a, always, n, never)
		}
	}
}

func TestCanary_StepsAreSharedAndSteeredUnderLoadAndLoseNothing(t *testing.T) {
	h := canaryHost(t, "hcanary-steps", "steps: [5%, 25%, 50%], every: 1s, promote: manual, header: X-Canary")
	l := load.Start(load.Options{URL: h.api(), Rate: 250, Duration: 20 * time.Minute, WebSockets: -1, SSEs: -1})
	all := crowd(t)
	if n := h.visit(all, 2); n != 0 {
		t.Errorf("%d clients at a release that is not there", n)
	}
	h.begin(2)
	var windows []window
	for i, percent := range []float64{5, 25, 50} {
		h.step(i + 1)
		w := window{from: time.Now(), percent: percent}
		on := h.visit(all, 2)
		// Among the others' requests these few have drawn at random.
		t.Logf("at %g %%: %d of %d clients with a cookie", percent, on, guests)
		if off := math.Abs(float64(on) - percent/100*guests); off > 4*math.Sqrt(guests*percent/100*(1-percent/100)) {
			t.Errorf("at %g %%: %d of %d clients with a cookie", percent, on, guests)
		}
		h.asked(2, 1)
		switch i {
		case 0:
			h.hears("paused", "pause")
			h.hears("paused hcanary-steps, release 2: step 1 of 3, 5 %", "pause")
		case 1:
			h.killed(func() { h.asked(2, 1); h.counted(perStep() / 3); h.visit(all, 2) })
			h.step(2)
			if s := h.stage(); !s.Paused {
				t.Errorf("after a restart: %+v", s)
			}
			h.hears("resumed", "resume")
		}
		h.counted(perStep())
		w.to = time.Now()
		windows = append(windows, w)
		h.hears("promoted", "promote")
	}
	if r := h.steady("watch"); r.code != 0 {
		t.Errorf("watch: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.serves(2)
	if n := h.visit(all, 2); n != guests {
		t.Errorf("%d of %d clients at release 2", n, guests)
	}
	h.begin(3)
	h.visit(all, 3)
	h.hears("aborted", "abort")
	h.serves(2)
	h.begin(4)
	h.hears("then all", "promote", "--full")
	if r := h.steady("watch"); r.code != 0 {
		t.Errorf("watch: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.serves(4)
	r := l.Stop()
	t.Logf("\n%s", r)
	if !r.Clean() {
		t.Errorf("lost %d, unsent %d", r.Lost(), r.Unsent())
	}
	shares(t, r, 2, windows)
}

// killed kills the daemon, does what must work without it, and boots another.
func (h *host) killed(meanwhile func()) {
	h.t.Helper()
	h.kill()
	meanwhile()
	h.boot()
}

// A canary takes its steps by itself, and one whose replica dies goes back at once.
func TestCanary_GoesOnByItselfAndBackWhenTheNewReleaseDies(t *testing.T) {
	h := canaryHost(t, "hcanary-alone", "steps: [10%, 60%], every: 1500ms")
	l := load.Start(load.Options{URL: h.api(), Rate: 150, Duration: 10 * time.Minute, WebSockets: -1, SSEs: -1, Mix: load.Mix{KeepAlive: 3, Fresh: 3}})
	t.Log(h.with(map[string]string{"GESALP_RELEASE": "2"}, "plan").out)
	r := h.deploy(2)
	t.Logf("\n%s%s", r.err, r.out)
	for _, want := range []string{"step 1 of 2, 10 %", "step 2 of 2, 60 %", "steady promote goes on at once"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("deploy says nothing of %q:\n%s", want, r.err)
		}
	}
	h.serves(2)
	h.env["GESALP_RELEASE"] = "3"
	if r := h.steady("deploy", "-y", "-d"); r.code != 0 {
		t.Fatalf("deploy: exit %d\n%s", r.code, r.err)
	}
	h.step(1)
	die(t, h.project+"-web-3-1")
	if r := h.steady("watch"); r.code != 4 || !strings.Contains(r.err, "exited with code") {
		t.Errorf("watch: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.serves(2)
	rep := l.Stop()
	t.Logf("\n%s", rep)
	if !rep.Clean() { // what can be sent twice is lost by nobody
		t.Errorf("lost %d, unsent %d", rep.Lost(), rep.Unsent())
	}
}

// Calls by name are shared too, request by request and connection by connection.
func TestCanary_CallsFromWithinAreSharedAndLoseNothing(t *testing.T) {
	h := swiftHost(t, "hcanary-inner")
	withInner(t, h, "services:\n"+called("svc", "      canary: { steps: [25%], promote: manual }\n"))
	h.deploy(1)
	c := call(t, h.project+"-caller", h.project+"_default", "load", "-http", "svc:8000", "-tcp", "svc:7000", "-rate", "200")
	h.begin(2)
	px := proxy.NewClient(filepath.Join(h.run, "proxy.sock"))
	counts := func() map[int]steady.Counts {
		traffic, err := px.Traffic(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return traffic[h.project+"/svc"]
	}
	begin := counts()
	var http, tcp, of, connects int64
	h.eventually("enough was asked", func() bool {
		now := counts()
		http, of = now[2].Requests-begin[2].Requests, now[1].Requests+now[2].Requests-begin[1].Requests-begin[2].Requests
		tcp, connects = now[2].Streams-begin[2].Streams, now[1].Streams+now[2].Streams-begin[1].Streams-begin[2].Streams
		return of >= 500 && connects >= 100
	})
	t.Logf("%d of %d requests, %d of %d connections at 25 %%", http, of, tcp, connects)
	if share := 100 * float64(http) / float64(of); math.Abs(share-25) > points {
		t.Errorf("%.2f %% of the requests", share)
	}
	if share := 100 * float64(tcp) / float64(connects); math.Abs(share-25) > points {
		t.Errorf("%.2f %% of the connections", share)
	}
	h.hears("then all", "promote")
	if r := h.steady("watch"); r.code != 0 {
		t.Errorf("watch: exit %d\n%s%s", r.code, r.out, r.err)
	}
	r := c.report()
	t.Logf("\n%s", table(r))
	if r.Lost() > 0 || r.Failed() > 0 || r.Unsent() > 0 || r.Sent() == 0 {
		t.Errorf("%d of %d requests lost, %d connects failed, %d unsent", r.Lost(), r.Sent(), r.Failed(), r.Unsent())
	}
}
