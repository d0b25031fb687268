package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/drill"
)

// drilled is the answer of steady drill --json: a line behind those of the events.
type drilled struct {
	Kind     string
	Report   drill.Report
	Receipts []steady.Receipt
	Proxy    steady.Counts
	Verdict  string
}

// drill drills the web service and gives what was told and the exit status.
func (h *host) drill(args ...string) (drilled, result) {
	h.t.Helper()
	r := h.steady(append([]string{"drill", "web", "--yes", "--for", "1s", "--rate", "100", "--json"}, args...)...)
	var d drilled
	for line := range strings.Lines(r.out) {
		if strings.HasPrefix(line, `{"kind":"drill"`) {
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	if d.Kind == "" {
		h.t.Fatalf("exit %d, no drill was told\n%s\n%s", r.code, r.out, r.err)
	}
	h.t.Logf("%s\nproxy %+v\n%+v", d.Verdict, d.Proxy, d.Report)
	return d, r
}

func TestDrill_OfAServiceThatIsReplacedBesideItLosesNothingAndBothCountsAgree(t *testing.T) {
	h := newHost(t, "e2e-drill")
	small(h, "")
	h.deploy(1)
	h.deploy(2)
	times := rollouts(t, 2)
	d, r := h.drill("--times", strconv.Itoa(times))
	if r.code != 0 || d.Report.All.Lost != 0 || d.Report.Unsent != 0 {
		t.Errorf("exit %d, %+v", r.code, d.Report)
	}
	sent := int64(d.Report.All.Sent)
	if want := (steady.Counts{Requests: sent, Answered: sent}); d.Proxy != want {
		t.Errorf("the proxy counted %+v, the load %+v", d.Proxy, want)
	}
	if len(d.Receipts) != times || d.Report.During.Sent < 10 || d.Report.Before.Sent < 90 || d.Report.After.Sent < 90 {
		t.Errorf("%d receipts, %+v", len(d.Receipts), d.Report)
	}
	for _, receipt := range d.Receipts {
		if receipt.Lost() != 0 || receipt.Requests() > sent || receipt.Requests() == 0 {
			t.Errorf("receipt %+v", receipt)
		}
	}
	// A drill is no step of the way back.
	h.must("rollback")
	if got := answers(t, h.api()); got != "1" {
		t.Errorf("after the rollback release %s answers", got)
	}
}

// The positive control: where a rollout has a gap, the drill must see it.
func TestDrill_OfAServiceThatIsReplacedWithAGapLosesAndExits5(t *testing.T) {
	h := newHost(t, "e2e-drillgap")
	small(h, "      strategy: stop-first\n      hold: off\n")
	h.env["START_DELAY"] = "500ms"
	h.deploy(1)
	d, r := h.drill()
	lost := d.Report.During.Lost
	if r.code != 5 || lost == 0 || lost != d.Report.All.Lost || d.Proxy.Lost != int64(lost) || d.Report.During.Pause < 400*time.Millisecond {
		t.Errorf("exit %d, proxy %+v, %+v", r.code, d.Proxy, d.Report)
	}
	if !strings.Contains(r.err, "the drill of e2e-drillgap/web is past its loss budget of 0: ") || !strings.Contains(r.err, "hint: ") {
		t.Errorf("%s", r.err)
	}
	r = h.steady("drill", "web", "--yes", "--for", "1s", "--path", "/echo", "--loss-budget", "1000000", "--progress", "plain")
	for _, words := range []string{"drilled e2e-drillgap/web release 3", "before", "during", "after", "5xx ", "status ", " lost (", "proxy, meanwhile"} {
		if r.code != 0 || !strings.Contains(r.out, words) {
			t.Errorf("within its budget: exit %d, lacks %q\n%s%s", r.code, words, r.out, r.err)
		}
	}
	t.Logf("%s", r.out)
}

func TestDrill_RollsNothingOutThatItCouldNotJudge(t *testing.T) {
	h := newHost(t, "e2e-drillunfit")
	small(h, "")
	h.deploy(1)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	r := h.steady("drill", "web", "--yes", "--for", "1s", "--target", elsewhere.URL)
	refused(t, r, 23, "the load does not reach e2e-drillunfit/web")
	h.serves(1)
	refused(t, h.steady("drill", "nothing", "--yes"), 2, "e2e-drillunfit has no service nothing")
	refused(t, h.steady("drill", "web", "-p", "nobody", "--yes"), 2, "no project nobody")

	// Interrupted, the load ends and the rollout goes on.
	h.env["START_DELAY"] = "1s"
	h.deploy(2)
	cmd := h.command(nil, "drill", "web", "--yes", "--for", "1s", "--progress", "plain")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually("the rollout begins", func() bool { return len(h.containers()) == 2 })
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("%v\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), "goes on without you") || !strings.Contains(said.String(), "the load has ended") {
		t.Errorf("%s", said.String())
	}
	h.must("watch")
	if c := h.containers(); len(c) != 1 || !strings.Contains(c[0], "-web-3-") {
		t.Errorf("containers %v", c)
	}
}
