package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves b on a socket of its own until stop is called or the test ends.
func serve(t *testing.T, socket string, b api.Backend) (stop func()) {
	t.Helper()
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: api.Handler(b, slog.New(slog.DiscardHandler)), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	stop = func() {
		_ = s.Close()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func pair(t *testing.T, b api.Backend) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "steady.sock")
	serve(t, socket, b)
	return api.NewClient(socket)
}

var sentinels = []*steady.Error{
	steady.ErrUsage, steady.ErrCompose, steady.ErrNoService, steady.ErrNoProject, steady.ErrNoRelease,
	steady.ErrNoRollout, steady.ErrNotRunning, steady.ErrNoReplica, steady.ErrNoImage, steady.ErrBuild, steady.ErrExited,
	steady.ErrNotReady, steady.ErrUnhealthy, steady.ErrPortTaken, steady.ErrBusy, steady.ErrAborted,
	steady.ErrNoEngine, steady.ErrNoDaemon, steady.ErrNoProxy, steady.ErrStore, steady.ErrUnsupported,
	steady.ErrInternal, steady.ErrNginx, steady.ErrSiteTaken, steady.ErrNoSite,
}

func TestError_EverySentinelCrossesTheSocket(t *testing.T) {
	for _, sentinel := range sentinels {
		t.Run(sentinel.Code, func(t *testing.T) {
			said := sentinel.With("what went wrong", "steady fix")
			said.Service, said.Release, said.Serving, said.Tail = "api", 42, 41, []string{"a", "b"}
			c := pair(t, &fake{err: said})
			for name, ask := range everyCall(c) {
				err := ask(t.Context())
				if !errors.Is(err, sentinel) {
					t.Errorf("%s: got %v, want code %s", name, err, sentinel.Code)
				}
				var got *steady.Error
				if errors.As(err, &got); got == nil {
					t.Fatalf("%s: %T is no *steady.Error", name, err)
				}
				if diff := cmp.Diff(said, got); diff != "" {
					t.Errorf("%s (-said +got):\n%s", name, diff)
				}
			}
		})
	}
}

// everyCall is every method of a Backend that can fail. Events is left out where
// it waits for a daemon.
func everyCall(c *api.Client) map[string]func(context.Context) error {
	o := steady.Options{}
	return map[string]func(context.Context) error{
		"Deploy":   func(ctx context.Context) error { _, err := c.Deploy(ctx, nil, o); return err },
		"Rollback": func(ctx context.Context) error { _, err := c.Rollback(ctx, "shop", 0, o); return err },
		"Scale":    func(ctx context.Context) error { _, err := c.Scale(ctx, "shop", nil, o); return err },
		"Down":     func(ctx context.Context) error { _, err := c.Down(ctx, "shop", false, o); return err },
		"Abort":    func(ctx context.Context) error { return c.Abort(ctx, "shop", 0) },
		"Promote":  func(ctx context.Context) error { _, err := c.Promote(ctx, "shop", 0, true, "me"); return err },
		"Pause":    func(ctx context.Context) error { _, err := c.Pause(ctx, "shop", 0, "me"); return err },
		"Resume":   func(ctx context.Context) error { _, err := c.Resume(ctx, "shop", 0, "me"); return err },
		"Plan":     func(ctx context.Context) error { _, err := c.Plan(ctx, nil, o); return err },
		"Rollouts": func(ctx context.Context) error { _, err := c.Rollouts(ctx, "shop", 1); return err },
		"Rollout":  func(ctx context.Context) error { _, err := c.Rollout(ctx, 1); return err },
		"Releases": func(ctx context.Context) error { _, _, err := c.Releases(ctx, "shop"); return err },
		"Prune":    func(ctx context.Context) error { _, err := c.Prune(ctx, "shop", 1, false); return err },
		"Projects": func(ctx context.Context) error { _, err := c.Projects(ctx); return err },
		"Status":   func(ctx context.Context) error { _, err := c.Status(ctx, "shop"); return err },
		"Version":  func(ctx context.Context) error { _, err := c.Version(ctx); return err },

		"InstallSite": func(ctx context.Context) error {
			_, err := c.InstallSite(ctx, "", steady.Site{}, false)
			return err
		},
		"RemoveSite": func(ctx context.Context) error { _, err := c.RemoveSite(ctx, "", "x"); return err },
		"SiteStatus": func(ctx context.Context) error { _, err := c.SiteStatus(ctx, "", "x"); return err },

		"Logs": func(ctx context.Context) error {
			return c.Logs(ctx, steady.LogQuery{Project: "shop"}, func(steady.LogLine) error { return nil })
		},
		"Maintain":    func(ctx context.Context) error { _, err := c.Maintain(ctx, "shop", nil, nil); return err },
		"Maintenance": func(ctx context.Context) error { _, err := c.Maintenance(ctx, "shop"); return err },
	}
}

func TestError_WithoutCodeBecomesInternal(t *testing.T) {
	_, err := pair(t, &fake{err: errors.New("disk on fire")}).Projects(t.Context())
	if !errors.Is(err, steady.ErrInternal) || err.Error() != "disk on fire" {
		t.Errorf("got %v", err)
	}
}

func TestClient_SaysWhenNoDaemonListens(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "steady.sock")
	for name, ask := range everyCall(api.NewClient(socket)) {
		err := ask(t.Context())
		if !errors.Is(err, steady.ErrNoDaemon) || !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: got %v", name, err)
		}
		if hint := steady.AsError(err).Hint; hint != "steady daemon" {
			t.Errorf("%s: hint %q", name, hint)
		}
	}
}

func TestClient_PassesOnWhatIsAsked(t *testing.T) {
	b := &fake{}
	c := pair(t, b)
	o := steady.Options{Services: []string{"api"}, Build: true, WaitLock: time.Minute, Who: "eva@host"}
	spec := steady.Spec{Project: "shop", Service: "api", Container: []byte(`{"Image":"a<b"}`), StopGrace: time.Second}
	since := time.Date(2026, 11, 1, 12, 0, 0, 5, time.UTC)
	query := steady.LogQuery{Project: "shop", Services: []string{"api", "db"}, Release: 42, Follow: true, Tail: 10, Since: since}

	r, err := c.Deploy(t.Context(), []steady.Spec{spec}, o)
	if want := (steady.Rollout{ID: 7, Project: "shop", Kind: "deploy", Number: 42, Services: []string{"api"}}); err != nil || !cmp.Equal(want, r) {
		t.Errorf("deploy: %+v, %v", r, err)
	}
	_, err1 := c.Rollback(t.Context(), "shop", 40, o)
	_, err2 := c.Scale(t.Context(), "shop", map[string]int{"api": 3}, o)
	_, err3 := c.Down(t.Context(), "shop", true, o)
	err4 := c.Abort(t.Context(), "shop", 7)
	_, err5 := c.Rollouts(t.Context(), "shop", 5)
	err6 := c.Logs(t.Context(), query, func(steady.LogLine) error { return nil })
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	asked := b.asked
	if got := asked[0].([]steady.Spec)[0]; got.Digest() != spec.Digest() {
		t.Errorf("the spec's digest changed on its way: %+v", got)
	}
	want := []any{o, 40, o, map[string]int{"api": 3}, o, true, o, "shop", int64(7), "shop", 5, query}
	if diff := cmp.Diff(want, asked[1:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHandler_ListsReleasesWithoutSecrets(t *testing.T) {
	list, serving, err := pair(t, &fake{}).Releases(t.Context(), "shop")
	if err != nil || serving["api"] != 41 || len(list) != 1 || list[0].Number != 42 {
		t.Fatalf("got %+v, %v, %v", list, serving, err)
	}
	if s := list[0].Spec; s.Build != nil || strings.Contains(string(s.Container), "secret") {
		t.Errorf("secrets left in %+v", s)
	}
}

func TestHandler_RefusesWhatItDoesNotKnow(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "steady.sock")
	serve(t, socket, &fake{})
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v2/anything", ""},
		{"POST", "/v1/rollouts", `{"specs":[],"canary":true}`},
		{"POST", "/v1/rollouts", `not json`},
		{"GET", "/v1/rollouts/seven/events", ""},
		{"GET", "/v1/projects/shop/logs?since=yesterday", ""},
	} {
		resp, body := raw(t, socket, c.method, c.path, c.body)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":"usage"`) {
			t.Errorf("%s %s: %s %s", c.method, c.path, resp.Status, body)
		}
	}
}
