package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
	"gesalpai.ch/steady/internal/store"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var _ rollout.Journal = (*store.Store)(nil)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimOf); path != "" {
		victim(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// opened opens a new store that is closed at the end of the test.
func opened(t testing.TB) *store.Store {
	t.Helper()
	return openedAt(t, filepath.Join(t.TempDir(), "state", "steady.db"))
}

func openedAt(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func spec(project, service string) steady.Spec {
	return steady.Spec{
		Project: project, Service: service, Image: "shop/" + service + ":1",
		Container: json.RawMessage(`{"Env":["TOKEN=<secret>&more"],"Labels":{"a":"b"}}`),
		Ports:     []steady.Port{{Published: 8000, Target: 8000, Transport: "tcp", Protocol: steady.Auto}},
		StopGrace: 30 * time.Second, Replicas: 2,
		Probe: steady.Probe{Kind: steady.ProbeHTTP, Port: 8000, Path: "/health"},
	}
}

// accepted writes a rollout with a release of each service and returns both.
func accepted(t testing.TB, s *store.Store, project string, services ...string) (steady.Rollout, []steady.Release) {
	t.Helper()
	r := steady.Rollout{Project: project, Kind: steady.KindDeploy, Services: services, Who: "ana@host"}
	var releases []steady.Release
	for _, name := range services {
		releases = append(releases, steady.Release{Spec: spec(project, name)})
	}
	if err := s.Accept(t.Context(), &r, releases); err != nil {
		t.Fatal(err)
	}
	return r, releases
}

func TestAccept_NumbersRolloutAndReleases(t *testing.T) {
	s := opened(t)
	first, _ := accepted(t, s, "shop", "api", "web")
	other, _ := accepted(t, s, "blog", "api")
	second, releases := accepted(t, s, "shop", "api")

	if first.ID == 0 || other.ID <= first.ID || second.ID <= other.ID {
		t.Errorf("IDs %d, %d, %d do not grow", first.ID, other.ID, second.ID)
	}
	if first.Number != 1 || other.Number != 1 || second.Number != 2 {
		t.Errorf("numbers %d, %d, %d; want 1, 1, 2", first.Number, other.Number, second.Number)
	}
	got := releases[0]
	want := steady.Release{
		Project: "shop", Service: "api", Number: 2, Rollout: second.ID,
		Spec: spec("shop", "api"), Digest: spec("shop", "api").Digest(), Created: second.Started,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if second.State != steady.RolloutRunning || second.Started.IsZero() {
		t.Errorf("state %q, started %v", second.State, second.Started)
	}
}

func TestAccept_WithoutReleasesGivesNoNumber(t *testing.T) {
	s := opened(t)
	accepted(t, s, "shop", "api")
	down := steady.Rollout{Project: "shop", Kind: steady.KindDown, Services: []string{"api"}}
	if err := s.Accept(t.Context(), &down, nil); err != nil {
		t.Fatal(err)
	}
	if down.Number != 0 {
		t.Errorf("number %d for a rollout that makes no release", down.Number)
	}
	if next, _ := accepted(t, s, "shop", "api"); next.Number != 2 {
		t.Errorf("next number %d, want 2", next.Number)
	}
}

func TestAccept_IsAllOrNothing(t *testing.T) {
	s := opened(t)
	r := steady.Rollout{Project: "shop"}
	twice := []steady.Release{{Spec: spec("shop", "api")}, {Spec: spec("shop", "api")}}
	if err := s.Accept(t.Context(), &r, twice); err == nil {
		t.Fatal("two releases of one service were accepted")
	}
	if r.ID != 0 || twice[0].Number != 0 {
		t.Errorf("after the error: rollout %d, release %d", r.ID, twice[0].Number)
	}
	all, err := s.Rollouts(t.Context(), "shop", 0)
	if err != nil || len(all) != 0 {
		t.Errorf("%d rollouts stored, %v", len(all), err)
	}
}

func TestRelease_ReadsWhatWasAccepted(t *testing.T) {
	s := opened(t)
	_, releases := accepted(t, s, "shop", "api")
	img := steady.Image{Ref: "shop/api:1", ID: "sha256:ab", Digest: "shop/api@sha256:cd"}
	if err := s.Image(t.Context(), "shop", "api", 1, img); err != nil {
		t.Fatal(err)
	}
	got, err := s.Release(t.Context(), "shop", "api", 1)
	if err != nil {
		t.Fatal(err)
	}
	want := releases[0]
	want.Image = img
	sameJSON := cmp.Transformer("json", func(m json.RawMessage) (v any) { _ = json.Unmarshal(m, &v); return v })
	if diff := cmp.Diff(want, got, sameJSON); diff != "" {
		t.Error(diff)
	}
	if got.Spec.Digest() != got.Digest {
		t.Error("the spec read back has another digest than the one that was stored")
	}
}

func TestMissing_HasItsCode(t *testing.T) {
	s := opened(t)
	ctx := t.Context()
	accepted(t, s, "shop", "api")
	_, errRollout := s.Rollout(ctx, 77)
	_, errRelease := s.Release(ctx, "shop", "api", 2)
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"rollout", errRollout, steady.ErrNoRollout},
		{"release", errRelease, steady.ErrNoRelease},
		{"update", s.Update(ctx, steady.Rollout{ID: 77}), steady.ErrNoRollout},
		{"plan", s.Planned(ctx, 77, steady.Plan{}), steady.ErrNoRollout},
		{"begin", s.Begin(ctx, 77, "a"), steady.ErrNoRollout},
		{"event", s.Event(ctx, &steady.Event{Rollout: 77}), steady.ErrNoRollout},
		{"image", s.Image(ctx, "shop", "web", 1, steady.Image{}), steady.ErrNoRelease},
		{"end", s.End(ctx, 1, "never begun", nil), steady.ErrInternal},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
}

func TestUpdate_StoresStateEndErrorAndReceipt(t *testing.T) {
	s := opened(t)
	r, _ := accepted(t, s, "shop", "api")
	r.State, r.Ended = steady.RolloutFailed, r.Started.Add(14*time.Second)
	r.Error = steady.ErrExited.With("shop-api-1-1 exited with code 3", "steady logs api")
	r.Receipt = &steady.Receipt{Rollout: r.ID, Services: []steady.ServiceReceipt{{
		Service: "api", To: 1, Releases: map[int]steady.Counts{1: {Requests: 7}},
	}}}
	if err := s.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	got, err := s.Rollout(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnfinished_ListsRunningAndUndoing(t *testing.T) {
	s := opened(t)
	var want []int64
	for _, state := range []string{steady.RolloutRunning, steady.RolloutDone, steady.RolloutUndoing, steady.RolloutPaused} {
		r, _ := accepted(t, s, "shop", "api")
		r.State = state
		if err := s.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if !r.Final() {
			want = append(want, r.ID)
		}
	}
	unfinished, err := s.Unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, r := range unfinished {
		got = append(got, r.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRollouts_NewestFirstWithinProjectAndLimit(t *testing.T) {
	s := opened(t)
	accepted(t, s, "shop", "api")
	accepted(t, s, "blog", "api")
	b, _ := accepted(t, s, "shop", "api")
	c, _ := accepted(t, s, "shop", "api")
	got, err := s.Rollouts(t.Context(), "shop", 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]steady.Rollout{c, b}, got); diff != "" {
		t.Error(diff)
	}
	if all, err := s.Rollouts(t.Context(), "", 0); err != nil || len(all) != 4 {
		t.Errorf("%d rollouts in all, %v; want 4", len(all), err)
	}
	if projects, err := s.Projects(t.Context()); err != nil || strings.Join(projects, " ") != "blog shop" {
		t.Errorf("projects %v, %v", projects, err)
	}
}

func TestProgress_TellsBegunFromDone(t *testing.T) {
	s, ctx := opened(t), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	plan := steady.Plan{Project: "shop", Steps: []steady.Step{{ID: "pull", Kind: steady.StepPull}, {ID: "probe"}, {ID: "shift"}}}
	try(t, s.Planned(ctx, r.ID, plan))
	try(t, s.Begin(ctx, r.ID, "pull"))
	try(t, s.End(ctx, r.ID, "pull", nil))
	try(t, s.Begin(ctx, r.ID, "probe"))
	try(t, s.End(ctx, r.ID, "probe", errors.New("not ready")))
	try(t, s.Begin(ctx, r.ID, "shift"))
	checkProgress(t, s, r.ID, plan, "probe pull shift", "pull")

	try(t, s.Begin(ctx, r.ID, "probe")) // again, after a crash
	try(t, s.End(ctx, r.ID, "probe", nil))
	checkProgress(t, s, r.ID, plan, "probe pull shift", "probe pull")

	try(t, s.Begin(ctx, r.ID, "pull")) // what begins again is not done
	checkProgress(t, s, r.ID, plan, "probe pull shift", "probe")
}

func TestPlanned_SecondPlanBeginsAnew(t *testing.T) {
	s, ctx := opened(t), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	try(t, s.Planned(ctx, r.ID, steady.Plan{Steps: []steady.Step{{ID: "api/shift"}, {ID: "late"}}}))
	try(t, s.Begin(ctx, r.ID, "api/shift"))
	try(t, s.End(ctx, r.ID, "api/shift", nil))
	try(t, s.Begin(ctx, r.ID, "late"))
	undo := steady.Plan{Steps: []steady.Step{{ID: "api/shift", Cause: "undo"}}}
	try(t, s.Planned(ctx, r.ID, undo))
	try(t, s.End(ctx, r.ID, "late", nil)) // of the first plan: it does not show in the second
	checkProgress(t, s, r.ID, undo, "", "")
}

func try(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkProgress compares with the IDs begun and done, in order of name.
func checkProgress(t *testing.T, s *store.Store, rollout int64, plan steady.Plan, begun, done string) {
	t.Helper()
	p, b, d, err := s.Progress(t.Context(), rollout)
	try(t, err)
	if diff := cmp.Diff(plan, p); diff != "" {
		t.Error(diff)
	}
	if got := names(b); got != begun {
		t.Errorf("begun %q, want %q", got, begun)
	}
	if got := names(d); got != done {
		t.Errorf("done %q, want %q", got, done)
	}
}

func TestEvent_IsNumberedPerRolloutWithoutGaps(t *testing.T) {
	s, ctx := opened(t), t.Context()
	a, _ := accepted(t, s, "shop", "api")
	b, _ := accepted(t, s, "blog", "api")
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				for _, id := range []int64{a.ID, b.ID} {
					if err := s.Event(ctx, &steady.Event{Rollout: id, Kind: steady.EventProgress}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []int64{a.ID, b.ID} {
		events, err := s.Events(ctx, id, 0)
		try(t, err)
		for i, e := range events {
			if e.Seq != int64(i)+1 || e.Rollout != id {
				t.Fatalf("event %d of rollout %d: seq %d of rollout %d", i, id, e.Seq, e.Rollout)
			}
		}
		if len(events) != writers*each {
			t.Errorf("%d events, want %d", len(events), writers*each)
		}
	}
}

func TestEvents_GivesThoseAfter(t *testing.T) {
	s, ctx := opened(t), t.Context()
	r, _ := accepted(t, s, "shop", "api")
	var want []steady.Event
	for i, kind := range []string{steady.EventAccepted, steady.EventPlanned, steady.EventDone} {
		e := steady.Event{Rollout: r.ID, Kind: kind, Project: "shop", Took: time.Duration(i), Plan: &steady.Plan{Project: "shop"}}
		try(t, s.Event(ctx, &e))
		want = append(want, e)
	}
	got, err := s.Events(ctx, r.ID, 1)
	try(t, err)
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Error(diff)
	}
}

func TestRoutes_NameTheServingRelease(t *testing.T) {
	s, ctx := opened(t), t.Context()
	accepted(t, s, "shop", "api", "worker")
	accepted(t, s, "shop", "api")
	ports := []steady.Port{{Published: 8000, Target: 8000, Transport: "tcp", Protocol: steady.Auto}}
	api := steady.Route{Project: "shop", Service: "api", Release: 2, Replicas: []string{"shop-api-2-1"}, Ports: ports}
	worker := steady.Route{Project: "shop", Service: "worker", Release: 1, Replicas: []string{"shop-worker-1-1"}}
	blog := steady.Route{Project: "blog", Service: "api", Release: 9}
	try(t, s.PutRoutes(ctx, []steady.Route{api, worker, blog}))

	routes, err := s.Routes(ctx, "shop")
	try(t, err)
	if diff := cmp.Diff([]steady.Route{api, worker}, routes); diff != "" {
		t.Error(diff)
	}
	serving, err := s.Serving(ctx, "shop")
	try(t, err)
	if len(serving) != 2 || serving["api"].Number != 2 || serving["worker"].Number != 1 {
		t.Errorf("serving %v", serving)
	}
	releases, numbers, err := s.Releases(ctx, "shop")
	try(t, err)
	if diff := cmp.Diff(map[string]int{"api": 2, "worker": 1}, numbers); diff != "" {
		t.Error(diff)
	}
	if len(releases) != 3 || releases[0].Number != 2 || releases[1].Service != "api" {
		t.Errorf("releases not newest first: %v", releases)
	}
	if all, err := s.Routes(ctx, ""); err != nil || len(all) != 3 {
		t.Errorf("%d routes in all, %v; want 3", len(all), err)
	}

	api.Release = 1 // back
	try(t, s.PutRoutes(ctx, []steady.Route{api}))
	if serving, err := s.Serving(ctx, "shop"); err != nil || serving["api"].Number != 1 {
		t.Errorf("serving %d after the way back, %v", serving["api"].Number, err)
	}
}

func TestPutRoutes_GoneEndsServingAndKeepsReleases(t *testing.T) {
	s, ctx := opened(t), t.Context()
	accepted(t, s, "shop", "api")
	try(t, s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Release: 1}}))
	try(t, s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Gone: true}}))
	releases, serving, err := s.Releases(ctx, "shop")
	try(t, err)
	if len(serving) != 0 || len(releases) != 1 {
		t.Errorf("serving %v, %d releases; want none and 1", serving, len(releases))
	}
}

func TestNextTable_GrowsAcrossReopenAndLoss(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	var last int64
	for _, lose := range []bool{false, false, true} {
		if lose {
			try(t, os.Remove(path))
		}
		s, err := store.Open(path)
		try(t, err)
		next, err := s.NextTable(t.Context())
		try(t, err)
		if next <= last && !lose { // a lost store counts on from the clock, which may stand within one second
			t.Errorf("version %d after %d", next, last)
		}
		if at := time.Now().Unix(); next < at-60 {
			t.Errorf("version %d is behind the clock %d", next, at)
		}
		last = next
		try(t, s.Close())
	}
}

func TestCancelledContext_WritesNothing(t *testing.T) {
	s := opened(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := steady.Rollout{Project: "shop"}
	if err := s.Accept(ctx, &r, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if all, err := s.Rollouts(t.Context(), "", 0); err != nil || len(all) != 0 {
		t.Errorf("%d rollouts, %v", len(all), err)
	}
}

// late is a context that ends once it was looked at.
type late struct {
	context.Context
	looked bool
}

func (l *late) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (l *late) Err() error {
	if !l.looked {
		l.looked = true
		return nil
	}
	return context.Canceled
}

func TestContextThatEndsMidway_DoesNotLeaveAWriteInDoubt(t *testing.T) {
	s := opened(t)
	r := steady.Rollout{Project: "shop"}
	if err := s.Accept(&late{Context: t.Context()}, &r, []steady.Release{{Spec: spec("shop", "api")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Release(t.Context(), "shop", "api", 1); err != nil {
		t.Error(err)
	}
}

func TestSureCalls_WaitForTheDisk(t *testing.T) {
	sure, quick, err := opened(t).Synchronous()
	if err != nil || sure != 2 || quick != 1 {
		t.Errorf("sure %d, quick %d, %v; want 2 (FULL) and 1 (NORMAL)", sure, quick, err)
	}
}

func TestAccept_SpecThatIsNoJSONIsNotTheStoresFault(t *testing.T) {
	s := opened(t)
	bad := spec("shop", "api")
	bad.Container = json.RawMessage(`{"Env":["TOKEN=hush`)
	err := s.Accept(t.Context(), &steady.Rollout{Project: "shop"}, []steady.Release{{Spec: bad}})
	if err == nil || errors.Is(err, steady.ErrStore) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}

func TestOpen_IsPrivateWhateverTheUmask(t *testing.T) {
	for _, mask := range []int{0, 0o077, 0o277} {
		t.Run(fmt.Sprintf("%04o", mask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			old := syscall.Umask(mask)
			defer syscall.Umask(old)
			s := openedAt(t, filepath.Join(dir, "steady.db"))
			accepted(t, s, "shop", "api")
			checkMode(t, dir, 0o700)
			for _, name := range []string{"steady.db", "steady.db-wal", "steady.db-shm"} {
				checkMode(t, filepath.Join(dir, name), 0o600)
			}
		})
	}
}

func TestOpen_TightensALooseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	try(t, os.WriteFile(path, nil, 0o644))
	openedAt(t, path)
	checkMode(t, path, 0o600)
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	at, err := os.Stat(path)
	try(t, err)
	if got := at.Mode().Perm(); got != want {
		t.Errorf("%s has mode %04o, want %04o", filepath.Base(path), got, want)
	}
}

func names(set map[string]bool) string {
	var out []string
	for name := range set {
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
