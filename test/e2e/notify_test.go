package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// notifying has a receiver of each kind; the webhook's port is taken later.
const notifying = `x-steady:
  notify:
    - { webhook: "http://127.0.0.1:${HOOK_PORT}/T0K3N", secret_file: hook.key }
    - { slack: "http://127.0.0.1:${SLACK_PORT}/T0K3N", on: [done, failed, rolled-back] }
    - { command: "cat >> told; echo >> told", on: [accepted, done, failed] }
`

// inbox is a receiver on loopback that verifies what it gets, as its owner would.
type inbox struct {
	mu     sync.Mutex
	events []string
	texts  []string
	wrong  []string
}

func (b *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m struct{ Notice, Text string }
	err := json.Unmarshal(body, &m)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events, b.texts = append(b.events, m.Notice), append(b.texts, m.Text)
	mac := hmac.New(sha256.New, []byte("k3y"))
	fmt.Fprintf(mac, "%s.%s", r.Header.Get("X-Steady-Timestamp"), body)
	if err != nil || r.Header.Get("X-Steady-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		b.wrong = append(b.wrong, string(body))
	}
	if bytes.Contains(body, []byte("hunter2")) {
		b.wrong = append(b.wrong, "it holds an environment value: "+string(body))
	}
}

func (b *inbox) got() ([]string, []string, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events), slices.Clone(b.texts), slices.Clone(b.wrong)
}

// listen serves a receiver at a port until the test ends.
func (b *inbox) listen(t *testing.T, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: b, ReadHeaderTimeout: soon}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
}

// TestNotify_AReceiverThatIsDownIsToldLaterAndNoRolloutWaits deploys well and badly
// while the webhook's receiver is away, restarts the daemon, and lets it come back.
func TestNotify_AReceiverThatIsDownIsToldLaterAndNoRolloutWaits(t *testing.T) {
	h := newHost(t, "hhook-notify")
	small(h, "    env_file: [secret.env]\n"+notifying)
	h.write("secret.env", "PASSWORD=hunter2\n")
	h.write("hook.key", "k3y\n")
	h.env["HOOK_PORT"], h.env["SLACK_PORT"] = freePort(t), freePort(t)
	hook, slack := new(inbox), new(inbox)
	slack.listen(t, h.env["SLACK_PORT"])
	h.deploy(1)
	began := time.Now()
	if r := h.with(map[string]string{"GESALP_RELEASE": "2", "FAIL_HEALTH": "1", "DEADLINE": "1s"}, "deploy", "-y"); r.code != 3 {
		t.Fatalf("exit %d\n%s", r.code, r.err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("a rollout of which nobody can be told took %s", took)
	}
	if r := h.steady("notify", "status"); !strings.Contains(r.out, "connection refused") || strings.Contains(r.out+h.log.String(), "T0K3N") {
		t.Errorf("status: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.stop()
	h.boot()
	hook.listen(t, h.env["HOOK_PORT"])
	h.eventually("the webhook is told", func() bool { events, _, _ := hook.got(); return len(events) >= 4 })
	events, texts, wrong := hook.got()
	if !slices.Equal(events, []string{"accepted", "done", "accepted", "failed"}) || len(wrong) > 0 {
		t.Errorf("told %v, wrong %v", events, wrong)
	}
	if want := "hhook-notify: deploy 2 of web (release 2) failed by "; !strings.HasPrefix(texts[3], want) {
		t.Errorf("text %q, want %q…", texts[3], want)
	}
	slackAndCommand(t, h, slack)
	tested(t, h, hook)
}

func slackAndCommand(t *testing.T, h *host, slack *inbox) {
	if _, texts, _ := slack.got(); len(texts) != 2 || !strings.Contains(texts[0], "is done by") || !strings.Contains(texts[1], "failed by") {
		t.Errorf("slack was told %q", texts)
	}
	b, err := os.ReadFile(filepath.Join(h.dir, "told"))
	if lines := strings.Fields(strings.ReplaceAll(string(b), " ", "_")); err != nil || len(lines) != 4 || !strings.HasPrefix(lines[3], `{"notice":"failed"`) {
		t.Errorf("the command was told %q, %v", b, err)
	}
}

func tested(t *testing.T, h *host, hook *inbox) {
	if r := h.steady("notify", "test"); r.code != 0 || strings.Count(r.out, "delivered") != 3 {
		t.Errorf("test: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if events, _, wrong := hook.got(); events[len(events)-1] != "test" || len(wrong) > 0 {
		t.Errorf("told %v, wrong %v", events, wrong)
	}
	h.env["SLACK_PORT"] = freePort(t)
	if r := h.steady("notify", "test"); r.code != 1 || !strings.Contains(r.err, "was not told") {
		t.Errorf("test of one that is away: exit %d\n%s%s", r.code, r.out, r.err)
	}
}
