package mask_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/mask"
)

// shop is a service with a planted value in each place that may hold one.
func shop(t *testing.T) steady.Spec {
	t.Helper()
	c, err := json.Marshal(map[string]any{
		"Env": []string{
			"DB_PASSWORD=pl4nt-env", "DATABASE_URL=postgres://app:pl4nt-url@db/app?sslmode=disable", "SESSION=pl4ntsession9", "PORT=8000",
			"MODE=production", "VERSION=1.25.3-alpine", "POSTGRES_PASSWORD=postgres", "UPSTREAM=db-1.internal:5432", "SECRET=short",
		},
		"Cmd":         []string{"redis-server --requirepass pl4nt-one-line"},
		"Entrypoint":  []string{"entry", "--api-token", "pl4nt-flag", "--password=pl4nt-assigned"},
		"Healthcheck": map[string]any{"Test": []string{"CMD-SHELL", "redis-cli -a pl4nt ping || exit 1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return steady.Spec{
		Project: "shop", Service: "api", Container: c,
		Probe:  steady.Probe{Header: map[string]string{"Authorization": "Bearer pl4nt-bearer1"}},
		Build:  &steady.Build{Context: "https://git:pl4nt-git@host/repo.git", Args: map[string]string{"NPM_TOKEN": "pl4nt-arg", "GO": "1.26"}},
		Hooks:  &steady.Hooks{Before: &steady.Hook{Command: []string{"/bin/sh", "-c", "migrate --dsn mysql://root:pl4nt-hook@db"}, Shell: true}},
		Notify: []steady.Receiver{{Webhook: "https://x:pl4nt-webhook@hooks.example/T"}},
	}
}

func TestMask_HidesPlantedValuesAndLeavesWhatIsNone(t *testing.T) {
	var m mask.Mask
	m.Spec(shop(t))
	for text, want := range map[string]string{
		`exec: "redis-server --requirepass pl4nt-one-line": executable file not found in $PATH`: `exec: "redis-server …": executable file not found in $PATH`,
		"[2/3] RUN curl -H pl4nt-arg https://git:pl4nt-git@host/repo.git":                       "[2/3] RUN curl -H *** https://git:***@host/repo.git",
		"password pl4nt-env of postgres://app:pl4nt-url@db/app":                                 "password *** of postgres://app:***@db/app",
		"+ redis-cli -a pl4nt ping || exit 1":                                                   "+ redis-cli …",
		"entry --api-token pl4nt-flag --password=pl4nt-assigned failed":                         "entry … failed",
		"pl4nt-flag pl4nt-assigned pl4ntsession9 pl4nt-bearer1":                                 "*** *** *** ***",
		"mysql://root:pl4nt-hook@db, https://x:pl4nt-webhook@hooks.example":                     "mysql://root:***@db, https://x:***@hooks.example",
		"production postgres 1.25.3-alpine db-1.internal:5432 8000 1.26 short":                  "production postgres 1.25.3-alpine db-1.internal:5432 8000 1.26 short",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q\n becomes %q\n    want %q", text, got, want)
		}
	}
}

func TestSet_MasksErrorsAndTheLog(t *testing.T) {
	loaded := 0
	set := mask.NewSet(func(string) ([]steady.Spec, error) {
		if loaded++; loaded == 1 {
			return nil, errors.New("the store is busy")
		}
		return []steady.Spec{shop(t)}, nil
	})
	if got := set.Text("shop", "pl4nt-env"); got != "pl4nt-env" {
		t.Errorf("before anything is known: %q", got)
	}
	given := steady.ErrExited.With("died of pl4nt-env", "docker build https://git:pl4nt-git@host/repo.git")
	given.Tail = []string{"bad token pl4ntsession9"}
	e := set.Error("shop", given)
	if b, _ := json.Marshal(e); strings.Contains(string(b), "pl4nt") || e.Code != given.Code {
		t.Errorf("error %s", b)
	}
	if !strings.Contains(given.Text, "pl4nt") || given.Tail[0] != "bad token pl4ntsession9" || set.Error("shop", nil) != nil {
		t.Errorf("the error that was given has changed: %v", given)
	}
	var out bytes.Buffer
	log := slog.New(set.Log(slog.NewTextHandler(&out, nil))).With("what", "pl4nt-env")
	log.Warn("rollout failed pl4nt-env", "err", errors.New("start: pl4nt-env"), slog.Group("g", "text", "pl4nt-env"), "n", 7)
	if s := out.String(); strings.Contains(s, "pl4nt") || strings.Count(s, "***") != 4 || !strings.Contains(s, "n=7") {
		t.Errorf("log %s", s)
	}
}
