package daemon

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestRollback_ToWhatIsNotThereNamesTheReleases(t *testing.T) {
	var all []steady.Release
	for n := 14; n > 0; n-- {
		for _, s := range []string{"api", "web"} {
			all = append(all, steady.Release{Project: "shop", Service: s, Number: n, Served: time.Unix(int64(n), 0)})
		}
	}
	if err := numbered("shop", all, 3); err != nil {
		t.Error(err)
	}
	for n, want := range map[int]string{15: "shop has no release 15; its releases are 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, …"} {
		if err := numbered("shop", all, n); !errors.Is(err, steady.ErrNoRelease) || err.Error() != want {
			t.Errorf("%d: %v", n, err)
		}
	}
	if err := numbered("shop", all[22:], 7); err == nil || !strings.HasSuffix(err.Error(), "its releases are 3, 2, 1") {
		t.Error(err)
	}
	all[0].Served = time.Time{}
	if err := served(all, "api", 14); !errors.Is(err, steady.ErrNoRelease) || err.Error() != "shop/api release 14 never served" {
		t.Error(err)
	}
	if err := served(all, "web", 14); err != nil {
		t.Error(err)
	}
}

func TestImageGone_NamesWhatIsMissingAndTheWayOn(t *testing.T) {
	here := t.TempDir()
	away := here + "/gone"
	for _, c := range []struct {
		build      *steady.Build
		text, hint string
	}{
		{nil, "never had a repository digest", "docker load"},
		{&steady.Build{Context: here}, "built again from " + here, "steady rollback api --to 3 --rebuild"},
		{&steady.Build{Context: away}, "neither is its build context " + away, "steady releases"},
		{&steady.Build{Context: "https://example.org/x.git"}, "built again from https://example.org/x.git", "--rebuild"},
	} {
		r := steady.Release{Project: "shop", Service: "api", Number: 3, Spec: steady.Spec{Image: "shop/api:v3", Build: c.build},
			Image: steady.Image{ID: "sha256:ab", Built: time.Date(2026, 11, 25, 14, 2, 0, 0, time.UTC)}}
		e := steady.AsError(imageGone(r))
		for _, w := range []string{"shop/api release 3 needs image shop/api:v3 (sha256:ab, built 2026-11-25 14:02 UTC)", c.text} {
			if !strings.Contains(e.Text, w) {
				t.Errorf("%q lacks %q", e.Text, w)
			}
		}
		if e.Code != steady.ErrNoImage.Code || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("hint %q lacks %q", e.Hint, c.hint)
		}
	}
	if _, err := os.Stat(away); err == nil {
		t.Error("it is there")
	}
}
