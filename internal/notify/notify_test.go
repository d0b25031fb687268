package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/notify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box is an outbox that a test looks into.
type box struct {
	mu        sync.Mutex
	receivers []steady.Receiver
	all       []steady.Delivery
	full      bool // takes nothing new
	stuck     bool // takes no outcomes
	refused   int  // outcomes
	changed   chan struct{}
}

func (b *box) Receivers(context.Context, string) ([]steady.Receiver, error) { return b.receivers, nil }

func (b *box) Enqueue(_ context.Context, ds []steady.Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return steady.ErrStore
	}
	for _, d := range ds {
		d.ID = int64(len(b.all) + 1)
		b.all = append(b.all, d)
	}
	return nil
}

func (b *box) Waiting(context.Context) ([]steady.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.all), func(d steady.Delivery) bool { return !d.Ended.IsZero() }), nil
}

func (b *box) Attempted(_ context.Context, d steady.Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stuck {
		b.refused++
		select {
		case b.changed <- struct{}{}:
		default:
		}
		return steady.ErrStore
	}
	b.all[d.ID-1] = d
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return nil
}

// ended waits until n deliveries are over, and gives all.
func (b *box) ended(t *testing.T, n int) []steady.Delivery {
	t.Helper()
	for late := time.After(30 * time.Second); ; {
		b.mu.Lock()
		all := slices.Clone(b.all)
		b.mu.Unlock()
		over := 0
		for _, d := range all {
			if !d.Ended.IsZero() {
				over++
			}
		}
		if over >= n {
			return all
		}
		select {
		case <-b.changed:
		case <-late:
			t.Fatalf("%d of %d are over: %+v", over, n, all)
		}
	}
}

// host runs nothing and says what it was asked to.
type host struct {
	mu    sync.Mutex
	input []string
	code  int
}

func (h *host) Run(_ context.Context, _ string, argv, _ []string, stdin io.Reader, say func(string)) (int, error) {
	b, err := io.ReadAll(stdin)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.input = append(h.input, strings.Join(argv, " ")+": "+string(b))
	say("said")
	return h.code, err
}

// start runs a notifier until the test ends.
func start(t *testing.T, b *box, h *host) *notify.Notifier {
	t.Helper()
	b.changed = make(chan struct{}, 1)
	n := notify.New(b, h, func(string) {}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = n.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return n
}

// request is what a receiver got.
type request struct {
	header http.Header
	body   string
}

// receiver is a real HTTP server that notes what it gets.
func receiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (string, func() []request) {
	t.Helper()
	var mu sync.Mutex
	var got []request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		got = append(got, request{r.Header, string(b)})
		n := len(got)
		mu.Unlock()
		if answer != nil {
			answer(n, w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []request { mu.Lock(); defer mu.Unlock(); return slices.Clone(got) }
}

var failed = steady.Rollout{ID: 17, Project: "shop", Kind: steady.KindDeploy, Number: 42, Services: []string{"api"}, State: steady.RolloutFailed, Who: "ada@host",
	Error: &steady.Error{Code: "hook", Text: "hook before of shop/api (migrate) <exited> with code 1", Service: "api", Serving: 41, Tail: []string{"password=hunter2"}}}

func end(r steady.Rollout) steady.Event {
	return steady.Event{Kind: steady.EventFailed, State: r.State, Rollout: r.ID}
}

func TestWebhook_IsSignedAndHoldsNoSecret(t *testing.T) {
	url, got := receiver(t, nil)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOK_KEY", "s3cret")
	b := &box{receivers: []steady.Receiver{{Webhook: url, SecretFile: file}, {Webhook: url + "/two", SecretEnv: "HOOK_KEY"}, {Webhook: url + "/three"}}}
	start(t, b, &host{}).Tell(t.Context(), failed, end(failed))
	b.ended(t, 3)
	signed := 0
	for _, r := range got() {
		if strings.Contains(r.body, "hunter2") || strings.Contains(r.body, "s3cret") {
			t.Errorf("it holds a secret: %s", r.body)
		}
		if r.header.Get("X-Steady-Event") != "failed" || r.header.Get("X-Steady-Delivery") == "" {
			t.Errorf("headers %v", r.header)
		}
		at, sig := r.header.Get("X-Steady-Timestamp"), r.header.Get("X-Steady-Signature")
		if sig == "" {
			continue
		}
		signed++
		mac := hmac.New(sha256.New, []byte("s3cret"))
		mac.Write([]byte(at + "." + r.body))
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); sig != want || at == "" {
			t.Errorf("signature %s, want %s", sig, want)
		}
	}
	if signed != 2 {
		t.Errorf("%d of 3 are signed, want 2", signed)
	}
	var m struct {
		Notice, Text, Project, Who string
		Rollout                    int64
		Error                      struct{ Code string }
	}
	if err := json.Unmarshal([]byte(got()[0].body), &m); err != nil {
		t.Fatal(err)
	}
	const text = "shop: deploy 17 of api (release 42) failed by ada@host: hook before of shop/api (migrate) <exited> with code 1; release 41 of api serves"
	if m.Notice != "failed" || m.Project != "shop" || m.Rollout != 17 || m.Who != "ada@host" || m.Error.Code != "hook" || m.Text != text {
		t.Errorf("message %+v", m)
	}
}

func TestSlack_GetsItsForm(t *testing.T) {
	url, got := receiver(t, nil)
	b := &box{receivers: []steady.Receiver{{Slack: url}}}
	start(t, b, &host{}).Tell(t.Context(), failed, end(failed))
	b.ended(t, 1)
	var m map[string]string
	if err := json.Unmarshal([]byte(got()[0].body), &m); err != nil || len(m) != 1 || !strings.Contains(m["text"], "&lt;exited&gt;") || strings.Contains(m["text"], "<") {
		t.Errorf("%v, %v", m, err)
	}
}

func TestCommand_GetsTheMessageAsItsInput(t *testing.T) {
	h := &host{}
	b := &box{receivers: []steady.Receiver{{Command: []string{"logger", "-t", "steady"}}}}
	start(t, b, h).Tell(t.Context(), failed, end(failed))
	b.ended(t, 1)
	if len(h.input) != 1 || !strings.HasPrefix(h.input[0], `logger -t steady: {"notice":"failed"`) {
		t.Errorf("%q", h.input)
	}
}

func TestTell_OnlyWhatAReceiverWants(t *testing.T) {
	b := &box{changed: make(chan struct{}, 1), receivers: []steady.Receiver{{Slack: "http://all"}, {Slack: "http://some", On: []string{steady.RolloutRolledBack, steady.RolloutUnchanged}}}}
	n := notify.New(b, &host{}, func(string) {}, slog.New(slog.DiscardHandler))
	for _, e := range []steady.Event{{Kind: steady.EventAccepted}, {Kind: steady.EventPlanned}, {Kind: steady.EventStep}, {Kind: steady.EventDone, State: steady.RolloutDone},
		{Kind: steady.EventDone, State: steady.RolloutUnchanged}, {Kind: steady.EventFailed, State: steady.RolloutFailed}, {Kind: steady.EventFailed, State: steady.RolloutRolledBack},
		{Kind: steady.EventFailed, State: steady.RolloutPaused}, {Kind: steady.EventFailed, State: steady.RolloutAborted}} {
		n.Tell(t.Context(), steady.Rollout{Project: "shop", Kind: steady.KindDeploy, ID: 3}, e)
	}
	told := map[string][]string{}
	for _, d := range b.all {
		told[d.Name] = append(told[d.Name], d.Notice)
	}
	if got := told["slack all"]; !slices.Equal(got, []string{"accepted", "done", "failed", "rolled-back", "paused", "aborted"}) {
		t.Errorf("all: %v", got)
	}
	if got := told["slack some"]; !slices.Equal(got, []string{"unchanged", "rolled-back"}) {
		t.Errorf("some: %v", got)
	}
}

// A receiver that is down gets all of it later, in order; another one at once.
func TestRun_TriesAgainAndKeepsTheOrder(t *testing.T) {
	down, got := receiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n <= 2 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	up, fine := receiver(t, nil)
	b := &box{receivers: []steady.Receiver{{Webhook: down}, {Webhook: up}}}
	n := start(t, b, &host{})
	n.Tell(t.Context(), failed, steady.Event{Kind: steady.EventAccepted})
	n.Tell(t.Context(), failed, end(failed))
	b.ended(t, 2)
	if len(fine()) != 2 {
		t.Errorf("the other one got %d while the first was down", len(fine()))
	}
	all := b.ended(t, 4)
	var order []string
	for _, r := range got() {
		order = append(order, r.header.Get("X-Steady-Event")+r.header.Get("X-Steady-Delivery"))
	}
	if !slices.Equal(order, []string{"accepted1", "accepted1", "accepted1", "failed3"}) {
		t.Errorf("it got %v", order)
	}
	if all[0].Tries != 3 || !all[0].Delivered() {
		t.Errorf("%+v", all[0])
	}
}

// A receiver that takes a connection and says nothing keeps nobody waiting.
func TestTell_DoesNotWaitForAReceiver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	url, got := receiver(t, nil)
	b := &box{receivers: []steady.Receiver{{Webhook: "http://" + ln.Addr().String()}, {Webhook: url}}}
	n := start(t, b, &host{})
	began := time.Now()
	n.Tell(t.Context(), failed, end(failed))
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
	b.ended(t, 1)
	if len(got()) != 1 {
		t.Error("the other one was not told")
	}
}

func TestSend_FollowsNoRedirectAndTrustsNoUnknownCertificate(t *testing.T) {
	elsewhere, got := receiver(t, nil)
	moved, _ := receiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = nil
	n := notify.New(&box{}, &host{code: 4}, func(string) {}, slog.New(slog.DiscardHandler))
	all, err := n.Test(t.Context(), "shop", []steady.Receiver{{Webhook: moved + "/T0K3N"}, {Webhook: secure.URL + "/T0K3N"}, {Webhook: "http://127.0.0.1:1/T0K3N"},
		{Command: []string{"false"}}, {Webhook: moved, SecretEnv: "NO_SUCH_VARIABLE"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"it answered 307 Temporary Redirect", "certificate", "connection refused", "it exited with code 4: said", "the daemon has no variable NO_SUCH_VARIABLE"} {
		if !strings.Contains(all[i].Error, want) || strings.Contains(all[i].Error, "T0K3N") || all[i].Delivered() {
			t.Errorf("%d: %+v, want %q", i, all[i], want)
		}
	}
	if len(got()) > 0 {
		t.Error("it was sent elsewhere")
	}
}

// What cannot be written on a full disk is neither lost nor sent twice.
func TestRun_AFullDiskNeitherLosesNorRepeats(t *testing.T) {
	url, got := receiver(t, nil)
	b := &box{full: true, stuck: true, receivers: []steady.Receiver{{Webhook: url}}}
	n := start(t, b, &host{})
	n.Tell(t.Context(), failed, end(failed))
	b.mu.Lock()
	b.full = false
	b.mu.Unlock()
	n.Tell(t.Context(), failed, end(failed)) // as what comes next, or some seconds
	for late := time.After(30 * time.Second); ; {
		b.mu.Lock()
		refused := b.refused
		b.mu.Unlock()
		if refused > 3 && len(got()) >= 2 {
			break
		}
		select {
		case <-b.changed:
		case <-late:
			t.Fatalf("%d outcomes refused, %d sent", refused, len(got()))
		}
	}
	b.mu.Lock()
	b.stuck = false
	b.mu.Unlock()
	b.ended(t, 2)
	if len(got()) != 2 {
		t.Errorf("%d were sent, want 2", len(got()))
	}
}

func TestTell_AFullStoreIsNoReasonToFail(t *testing.T) {
	b := &box{full: true, receivers: []steady.Receiver{{Slack: "http://a"}}}
	n := notify.New(b, &host{}, func(string) {}, slog.New(slog.DiscardHandler))
	n.Tell(t.Context(), failed, end(failed)) // it returns, and that is all
	if err := b.Enqueue(t.Context(), nil); !errors.Is(err, steady.ErrStore) {
		t.Fatal("the box was not full")
	}
}
