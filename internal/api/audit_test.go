package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// ledger keeps deeds in memory; each with its outcome once it is known.
type ledger struct {
	mu    sync.Mutex
	deeds []steady.Deed
	full  bool
}

func (l *ledger) PutDeed(_ context.Context, d *steady.Deed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return steady.ErrStore
	}
	d.ID = int64(len(l.deeds) + 1)
	l.deeds = append(l.deeds, *d)
	return nil
}

func (l *ledger) PutOutcome(_ context.Context, d steady.Deed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deeds[d.ID-1] = d
	return nil
}

func (l *ledger) all() []steady.Deed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.deeds)
}

// audited serves b with an audit log; more routes are what the API may get later.
func audited(t *testing.T, b api.Backend, l *ledger) (*api.Client, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "steady.sock")
	ln, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: api.Audited(api.Handler(b, slog.New(slog.DiscardHandler)), l, slog.New(slog.DiscardHandler)),
		ConnContext: api.ConnContext, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln) // ends with Close
	}()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return api.NewClient(socket), socket
}

const secret = "s3cr3t"

func TestAudit_EveryCallThatChangesSomethingIsRecordedAndNoSecretIs(t *testing.T) {
	l := &ledger{}
	c, _ := audited(t, &fake{}, l)
	c = c.From(steady.Origin{Who: "eva@host", From: "203.0.113.7", Dir: "/srv/shop", Files: []string{"/srv/shop/compose.yaml"}, Digest: "sha256:1",
		Peer: &steady.Peer{UID: 4711, User: "forged"}})
	ctx := t.Context()
	spec := steady.Spec{Project: "shop", Service: "api", Container: json.RawMessage(`{"Env":["TOKEN=` + secret + `"]}`),
		Build: &steady.Build{Args: map[string]string{"TOKEN": secret}}}
	_, _ = c.Deploy(ctx, []steady.Spec{spec}, steady.Options{Services: []string{"api"}, Force: true, WaitLock: time.Minute, Who: secret})
	_, _ = c.Rollback(ctx, "shop", 41, steady.Options{})
	_, _ = c.Scale(ctx, "shop", map[string]int{"api": 3}, steady.Options{})
	_, _ = c.Down(ctx, "shop", true, steady.Options{})
	_ = c.Abort(ctx, "shop", 7)
	m := steady.Maintenance{Message: secret, Page: secret, AllowHeaders: []steady.HeaderSum{{Name: "X", Sum: steady.SumHeader(secret)}}}
	_, _ = c.Maintain(ctx, "shop", []string{"api"}, &m)
	_, _ = c.Maintain(ctx, "shop", nil, nil)
	_, _ = c.Lock(ctx, steady.Lease{Project: "shop", Owner: "eva@host", Message: "the fair", Expires: time.Now().Add(30 * time.Minute)}, secret, 0)
	_, _ = c.Unlock(ctx, "shop", nil, "eva@host", true)
	_, _ = c.InstallSite(ctx, "", steady.Site{Name: "api", Domains: []string{"api.example.org"}}, true)
	_, _ = c.RemoveSite(ctx, "", "api")
	_, _ = c.Plan(ctx, []steady.Spec{spec}, steady.Options{})
	_, _ = c.Status(ctx, "shop")
	var got []string
	for _, d := range l.all() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %v%v %s%d", d.Command, d.Project, d.Services, d.Asked, d.Outcome, d.Rollout)))
		if d.Origin.Who != "eva@host" || d.Origin.Dir != "/srv/shop" || d.Origin.Digest != "sha256:1" || d.Time.IsZero() {
			t.Errorf("%s: origin %+v", d.Command, d.Origin)
		}
		if p := d.Origin.Peer; p == nil || p.UID != os.Getuid() || p.PID != os.Getpid() || p.User == "forged" {
			t.Errorf("%s: peer %+v, want what the kernel says", d.Command, p)
		}
	}
	want := []string{
		"deploy shop [api][force wait_lock=1m0s] accepted7",
		"rollback shop [][to=41] accepted7",
		"scale shop [api][api=3] accepted7",
		"down shop [][volumes] accepted7",
		"abort shop [][rollout=7] done0",
		"maintenance on shop [api][] done0",
		"maintenance off shop [][] done0",
		"lock acquire shop [][for=30m0s message=the fair] done0",
		"lock release shop [][force] done0",
		`nginx install  [][domains=["api.example.org"] name=api yes] done0`,
		"nginx remove  [][site=api] done0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if b, _ := json.Marshal(l.all()); strings.Contains(string(b), secret) || strings.Contains(string(b), steady.SumHeader(secret)) {
		t.Errorf("a secret is in the log: %s", b)
	}
}

func TestAudit_WhatIsRefusedIsRecordedWithItsCode(t *testing.T) {
	l := &ledger{}
	c, _ := audited(t, &fake{err: steady.ErrBusy.With("locked: "+secret, "")}, l)
	if _, err := c.Scale(t.Context(), "shop", map[string]int{"api": 1}, steady.Options{}); !errors.Is(err, steady.ErrBusy) {
		t.Fatal(err)
	}
	if d := l.all()[0]; d.Outcome != steady.DeedRefused || d.Code != "busy" || d.Rollout != 0 {
		t.Errorf("%+v", d)
	}
}

// A call that nobody has told the log of is recorded by its path.
func TestAudit_ACallThatIsNewIsRecordedToo(t *testing.T) {
	l := &ledger{}
	_, socket := audited(t, &fake{}, l)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	c := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	res, err := c.Post("http://steady/v1/projects/shop/promote", "application/json", strings.NewReader(`{"rollout":9,"token":"`+secret+`","options":{"force":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	d := l.all()[0]
	if d.Command != "promote" || d.Project != "shop" || !slices.Equal(d.Asked, []string{"force", "rollout=9"}) || d.Outcome != steady.DeedRefused {
		t.Errorf("%+v", d)
	}
}

// The deed is there before it is done, so that a daemon that dies in the middle of
// it has not forgotten who asked.
func TestAudit_TheDeedIsThereBeforeItIsDone(t *testing.T) {
	l := &ledger{}
	b := &during{}
	b.do = func() {
		if all := l.all(); len(all) != 1 || all[0].Outcome != "" || all[0].Command != "abort" {
			t.Errorf("while it is done: %+v", all)
		}
	}
	c, _ := audited(t, b, l)
	if err := c.Abort(t.Context(), "shop", 1); err != nil {
		t.Fatal(err)
	}
	l.full = true
	b.do = func() {}
	if err := c.Abort(t.Context(), "shop", 1); err != nil || len(l.all()) != 1 {
		t.Errorf("a log that cannot be written keeps people from working: %v", err)
	}
}

// during is a backend that looks about while it aborts.
type during struct {
	fake
	do func()
}

func (d *during) Abort(context.Context, string, int64) error { d.do(); return nil }

// What a caller says of its process is nothing, also where the kernel says nothing.
func TestAudit_APeerByItsOwnWordIsNone(t *testing.T) {
	l := &ledger{}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/projects/shop/abort", strings.NewReader("{}"))
	r.Header.Set("Steady-Origin", `{"who":"eva@host","peer":{"uid":0,"pid":1,"user":"root"}}`)
	api.Audited(api.Handler(&fake{}, slog.New(slog.DiscardHandler)), l, slog.New(slog.DiscardHandler)).ServeHTTP(httptest.NewRecorder(), r)
	if d := l.all()[0]; d.Origin.Who != "eva@host" || d.Origin.Peer != nil {
		t.Errorf("%+v, peer %+v", d.Origin, d.Origin.Peer)
	}
}
