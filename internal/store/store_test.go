package store_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
	img := steady.Image{Ref: "shop/api:1", ID: "sha256:ab", Digest: "shop/api@sha256:cd", Built: time.Unix(5, 0).UTC()}
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

func try(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
