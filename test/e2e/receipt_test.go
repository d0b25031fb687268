package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

const (
	stuck   = 5 // requests that outlive the drain's clock
	bare    = 3 // TCP connections that do, with nothing under way
	asking  = 2 // the same with a question half asked
	clients = 4 // of each kind of stream
)

// counting is a stack of web, of which requests are cut and streams closed, and raw,
// of which TCP connections are cut.
func counting(h *host) {
	h.t.Helper()
	h.env["RAW_PORT"] = freePort(h.t)
	const service = `
    image: gesalp-api:v1
    stop_grace_period: 6s
    environment: { RELEASE: "${GESALP_RELEASE:-1}", START_DELAY: "${START_DELAY:-0s}", REPORT_URL: "http://127.0.0.1:1" }
`
	h.write("docker-compose.prod.yml", `x-steady:
  drain: { requests: 1s, streams: 1s }
services:
  web:`+service+`    ports: ["${API_PORT}:8000"]
    x-steady: { probe: { path: /health } }
  raw:`+service+`    ports: ["${RAW_PORT}:8000"]
    x-steady: { protocol: tcp, probe: { path: /health } }
`)
}

// occupy asks a replica something past the proxy that keeps it from stopping, until
// its grace is over: the rollout then outlasts all that came to it through steady.
func (h *host) occupy(replica string) {
	h.t.Helper()
	out, err := exec.Command("docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", h.project+"-"+replica).Output()
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := net.Dial("tcp", net.JoinHostPort(strings.TrimSpace(string(out)), "8000"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /slow?d=60s HTTP/1.1\r\nHost: web\r\n\r\n")
}

// following is a deploy whose events are seen as they come.
type following struct {
	*host
	cmd    *exec.Cmd
	events chan steady.Event
}

func (h *host) follow(args ...string) *following {
	h.t.Helper()
	f := &following{host: h, events: make(chan steady.Event, 1000)}
	f.cmd = h.command(map[string]string{"START_DELAY": "2s"}, append([]string{"deploy", "-y", "--json"}, args...)...)
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(f.events)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var e steady.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Kind != "" {
				f.events <- e
			}
		}
	}()
	return f
}

// until reads on until an event is the one waited for.
func (f *following) until(what string, is func(steady.Event) bool) {
	f.t.Helper()
	late := time.After(soon)
	for {
		select {
		case e, on := <-f.events:
			if !on {
				f.t.Fatalf("the rollout ended before %s\n%s", what, f.log)
			}
			if is(e) {
				return
			}
		case <-late:
			f.t.Fatalf("%s never came\n%s", what, f.log)
		}
	}
}

// end is the exit status and the whole receipt.
func (f *following) end(rollout int64) (int, steady.Receipt) {
	f.t.Helper()
	for range f.events {
	}
	_ = f.cmd.Wait()
	r := f.steady("receipt", strconv.FormatInt(rollout, 10), "--json")
	var told steady.Rollout
	if err := json.Unmarshal([]byte(r.out), &told); err != nil || told.Receipt == nil {
		f.t.Fatalf("receipt: exit %d, %v\n%s%s\n%s", r.code, err, r.out, r.err, f.log)
	}
	return f.cmd.ProcessState.ExitCode(), *told.Receipt
}

// hangOn sends requests that take longer than the drain gives them, and gives what
// awaits their statuses.
func hangOn(t *testing.T, url string, n int) func() []int {
	var mu sync.Mutex
	var got []int
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			res, err := http.Get(url + "/slow?d=40s")
			if err != nil {
				t.Errorf("a request that should be answered when it is cut: %v", err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			got = append(got, res.StatusCode)
		})
	}
	return func() []int { all.Wait(); return got }
}

// dialOn opens connections that say a word and stay.
func dialOn(t *testing.T, port string, n int, last string) {
	for range n {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprint(c, "GET /echo HTTP/1.1\r\nHost: raw\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		fmt.Fprint(c, last)
	}
}

// TestReceipt_IsWhatTheLoadCounted compares the receipt with what came to the
// stack, all of it within the rollout: number by number, and once with a daemon
// that is killed in the middle.
func TestReceipt_IsWhatTheLoadCounted(t *testing.T) {
	h := swiftHost(t, "hrec-e2e")
	counting(h)
	h.deploy(1)
	for i, crash := range []string{"", "drain:before"} {
		name := "daemon lives"
		if crash != "" {
			name = "daemon killed at " + crash
			h.stop()
			h.boot("STEADY_CRASH_AT=" + crash)
		}
		t.Run(name, func(t *testing.T) { countedAlike(t, h, int64(i+2), crash != "") })
	}
	quiet := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: time.Minute, WebSockets: -1, SSEs: -1, SlowMax: 200 * time.Millisecond})
	r := h.deploy(4, "--loss-budget", "0")
	if got := quiet.Stop(); !got.Clean() {
		t.Errorf("lost under load:\n%s", got)
	}
	t.Log(r.out)
	receiptPage(t, h)
}

func countedAlike(t *testing.T, h *host, release int64, dies bool) {
	h.env["GESALP_RELEASE"] = strconv.FormatInt(release, 10)
	f := h.follow("--loss-budget", "0")
	f.until("the plan", func(e steady.Event) bool { return e.Kind == steady.EventPlanned })
	h.occupy(fmt.Sprintf("web-%d-1", release-1))
	statuses := hangOn(t, h.api(), stuck)
	dialOn(t, h.env["RAW_PORT"], bare, "")
	dialOn(t, h.env["RAW_PORT"], asking, "GET /echo")
	l := load.Start(load.Options{URL: h.api(), Rate: 150, WebSockets: clients, SSEs: clients, SlowMax: 500 * time.Millisecond,
		Mix: load.Mix{KeepAlive: 0.4, Fresh: 0.2, Post: 0.3, Slow: 0.05, Messages: 0.05}, Paths: load.Paths{Fresh: "/ask/report"}})
	if dies {
		select {
		case <-h.exited:
		case <-time.After(soon):
			t.Fatal("the daemon did not crash")
		}
		h.boot()
	}
	drained := map[string]bool{}
	f.until("the drains", func(e steady.Event) bool {
		if e.Drained != nil {
			drained[e.Service] = true
		}
		return drained["web"] && drained["raw"]
	})
	sent := l.Counts().Sent
	h.eventually("the new release has traffic", func() bool { return l.Counts().Sent > sent+150 })
	report, cut := l.Stop(), statuses()
	ended := time.Now()
	code, x := f.end(release)
	if !x.Ended.After(ended) || !x.Began.Before(report.Started) {
		t.Fatalf("the load ran from %s to %s, the rollout from %s to %s", report.Started, ended, x.Began, x.Ended)
	}
	if code != 5 || len(x.Missed) > 0 {
		t.Errorf("exit %d with %d requests cut and %d TCP connections open; missed %+v", code, stuck, bare+asking, x.Missed)
	}
	t.Logf("%s\n%s", report, h.steady("receipt", fmt.Sprint(release)).out)
	web, _ := x.Of("web")
	comparedAll(t, web, report, cut)
	comparedReleases(t, web, report, int(release))
	comparedShift(t, x, report, int(release))
	raw, _ := x.Of("raw")
	alike(t, "TCP connections", raw.All().Streams, bare+asking)
	alike(t, "TCP connections ended at a quiet moment", raw.All().StreamsQuiet, bare)
	alike(t, "the same in the drain", int64(raw.Drained.StreamsQuiet), bare)
	alike(t, "TCP connections cut", raw.All().StreamsCut, asking)
	alike(t, "TCP connections cut in the drain", int64(raw.Drained.StreamsCut), asking)
}

func alike[N int | int64](t *testing.T, what string, receipt int64, counted N) {
	t.Helper()
	if receipt != int64(counted) {
		t.Errorf("%s: the receipt says %d, the load counted %d", what, receipt, counted)
	}
}

// comparedAll compares both releases together.
func comparedAll(t *testing.T, web steady.ServiceReceipt, r load.Report, cut []int) {
	t.Helper()
	all, a := web.All(), web.Answered()
	classes := [6]int64{}
	unary := 0
	for _, s := range r.Loads {
		for status, n := range s.Statuses {
			classes[status/100] += int64(n)
			if s.Streams == nil {
				unary += n
			}
		}
	}
	ends := map[load.Ending]int{}
	for _, e := range r.Ends() {
		ends[e.How]++
	}
	alike(t, "requests", all.Requests, r.Sent()+stuck)
	for class := 1; class < 6; class++ {
		alike(t, fmt.Sprintf("answers %dxx", class), a.Classes[class], classes[class])
	}
	alike(t, "answers timed", a.Took.Count(), unary)
	alike(t, "errors", all.Errors, classes[5])
	alike(t, "requests cut", all.Cut, len(cut))
	alike(t, "requests lost", all.Lost, len(cut))
	alike(t, "requests cut in the drain", int64(web.Drained.Cut), len(cut))
	for _, status := range cut {
		alike(t, "status of a cut request", http.StatusServiceUnavailable, status)
	}
	alike(t, "streams", all.Streams, len(r.Ends()))
	alike(t, "streams closed", all.StreamsClosed, ends[load.Closed])
	alike(t, "streams ended", all.StreamsEnded, ends[load.Left])
	alike(t, "streams cut", all.StreamsCut, ends[load.CutOff])
	alike(t, "streams closed in the drain", int64(web.Drained.StreamsClosed), 2*clients)
	if classes[5] == 0 || r.Unsent() > 0 || classes[2] == 0 {
		t.Errorf("the load is not what it should be: %v, %d unsent", classes, r.Unsent())
	}
}

// comparedReleases compares who answered what.
func comparedReleases(t *testing.T, web steady.ServiceReceipt, r load.Report, release int) {
	t.Helper()
	by := map[int]int{}
	for _, a := range r.Answers() {
		if a.Load != "ws" && a.Load != "sse" {
			by[a.Release]++
		}
	}
	for n := range by {
		alike(t, fmt.Sprintf("answers of release %d", n), web.Answers[n].Took.Count(), by[n])
	}
	if len(by) != 2 || len(web.Releases) != 2 || by[release] == 0 || web.After.Took.Count() == 0 {
		t.Errorf("the load saw releases %v, the receipt has %v", by, web.Releases)
	}
}

// comparedShift compares what was in flight when web was shifted: of the load
// what had been sent before and was answered after, by the old release.
func comparedShift(t *testing.T, x steady.Receipt, r load.Report, release int) {
	t.Helper()
	const give = 100 * time.Millisecond
	for _, shift := range x.Shifts {
		for _, s := range shift.Services {
			if s.Service != "web" {
				continue
			}
			least, most := stuck, stuck
			at := shift.At.Sub(r.Started)
			for _, a := range r.Answers() {
				if a.Load == "ws" || a.Load == "sse" || a.Release == release {
					continue
				}
				if a.Sent < at-give && a.Done > at+give {
					least++
				}
				if a.Sent < at+give && a.Done > at-give {
					most++
				}
			}
			if s.Left.Requests < least || s.Left.Requests > most || s.Left.Streams != 2*clients || s.Release != release {
				t.Errorf("in flight at the shift to %d: %+v; the load had %d to %d requests and %d streams", s.Release, s.Left, least, most, 2*clients)
			}
			return
		}
	}
	t.Errorf("web was never shifted: %+v", x.Shifts)
}

// TestReceipt_SaysWhatADeadProxyTookWithIt kills the proxy in the middle.
func TestReceipt_SaysWhatADeadProxyTookWithIt(t *testing.T) {
	h := swiftHost(t, "hrec-e2e-proxy")
	counting(h)
	h.deploy(1)
	h.env["GESALP_RELEASE"] = "2"
	f := h.follow("--loss-budget", "1000000")
	f.until("the plan", func(e steady.Event) bool { return e.Kind == steady.EventPlanned })
	h.occupy("web-1-1")
	l := load.Start(load.Options{URL: h.api(), Rate: 100, WebSockets: -1, SSEs: -1})
	h.eventually("there is traffic", func() bool { return l.Counts().OK > 100 })
	pid := h.proxyPID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.eventually("another proxy answers", func() bool { now := h.proxyPID(); return now > 0 && now != pid })
	ok := l.Counts().OK
	h.eventually("there is traffic again", func() bool { return l.Counts().OK > ok+100 })
	report := l.Stop()
	code, x := f.end(2)
	web, _ := x.Of("web")
	counted := web.All().Requests
	t.Logf("%d of %d requests counted; missed %+v\n%s", counted, report.Sent(), x.Missed, h.steady("receipt").out)
	if code != 5 {
		t.Errorf("exit %d, though nobody knows what was lost", code)
	}
	if len(x.Missed) != 1 || x.Missed[0].To.Sub(x.Missed[0].From) > 3*time.Second {
		t.Fatalf("missed %+v", x.Missed)
	}
	within := x.Missed[0].To.Sub(x.Missed[0].From).Seconds() + 0.5
	if counted > int64(report.Sent()) || float64(counted) < float64(report.Sent())-100*within {
		t.Errorf("%d of %d requests counted, without %.1f s of 100 a second", counted, report.Sent(), within)
	}
}
