package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func waiting(who string, until time.Time) steady.Leases {
	return steady.Leases{Waiting: []steady.Waiter{{Ticket: "other", For: "nobody"}, {Ticket: "mine", For: who, Until: until}}}
}

func TestWaitLine_SaysWhoIsInTheWayAndHowLongItStillWaits(t *testing.T) {
	now := time.Unix(1000, 0)
	var out bytes.Buffer
	w := waitLine{session: newSession(nil, nil, nil, &out)}
	w.tell(waiting("rollout 41 of anna@ci (step api/drain/shop-api-40-1)", now.Add(72*time.Second)), "mine", now)
	w.tell(waiting("rollout 41 of anna@ci (step api/drain/shop-api-40-1)", now.Add(72*time.Second)), "mine", now.Add(time.Second))
	w.tell(waiting("rollout 41 of anna@ci (step api/stop/shop-api-40-1)", now.Add(72*time.Second)), "mine", now.Add(67*time.Second))
	w.tell(waiting("rollout 41 of anna@ci (step api/stop/shop-api-40-1)", now.Add(152*time.Second)), "mine", now.Add(97*time.Second))
	w.tell(waiting("x", now), "another", now)
	want := `steady: waiting for rollout 41 of anna@ci (step api/drain/shop-api-40-1), 1m12s left
steady: waiting for rollout 41 of anna@ci (step api/stop/shop-api-40-1), 5s left
steady: waiting for rollout 41 of anna@ci (step api/stop/shop-api-40-1), 55s left
`
	if out.String() != want {
		t.Errorf("said\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	live := waitLine{session: w.session, live: true}
	live.tell(waiting("a", now.Add(time.Second)), "mine", now)
	live.clear()
	if got := out.String(); got != "\r\x1b[Ksteady: waiting for a, 1s left\r\x1b[K" {
		t.Errorf("on a terminal: %q", got)
	}
}

// The digest follows the Compose files and the env files' names, and nothing of what
// is in those.
func TestOrigin_DigestIsOfFilesAndOfTheNamesOfEnvFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file, env := write("compose.yaml", "services: {}"), write("prod.env", "TOKEN=one")
	first := digest([]string{file}, []string{env})
	write("prod.env", "TOKEN=two")
	if again := digest([]string{file}, []string{env}); again != first || !strings.HasPrefix(first, "sha256:") {
		t.Errorf("%s, and with another value %s", first, again)
	}
	if other := digest([]string{file}, []string{"/elsewhere/dev.env"}); other == first {
		t.Error("another env file has the same digest")
	}
	write("compose.yaml", "services: { }")
	if other := digest([]string{file}, []string{env}); other == first {
		t.Error("another file has the same digest")
	}
	if none := digest([]string{filepath.Join(dir, "none")}, nil); none != "" {
		t.Errorf("of a file that is not there: %s", none)
	}
}

func TestOrigin_TellsNoVariableButThoseThatNameAJob(t *testing.T) {
	s := newSession([]string{"CI=true", "GITHUB_REPOSITORY=acme/shop", "GITHUB_TOKEN=s3cr3t", "SSH_CONNECTION=203.0.113.7 1 10.0.0.1 22", "PASSWORD=s3cr3t"}, nil, nil, nil)
	o := s.origin()
	if o.From != "203.0.113.7" || len(o.CI) != 1 || o.CI[0] != "GITHUB_REPOSITORY=acme/shop" || o.Dir == "" || strings.Contains(object(o), "s3cr3t") {
		t.Errorf("%+v", o)
	}
	if o := newSession([]string{"GITHUB_REPOSITORY=acme/shop"}, nil, nil, nil).origin(); len(o.CI) != 0 {
		t.Errorf("no CI: %+v", o)
	}
}

// Whoever uses sudo is named, not root: a lock is one person's.
func TestWho_IsWhoeverUsesSudo(t *testing.T) {
	if os.Getuid() != 0 {
		if who := newSession([]string{"SUDO_USER=anna"}, nil, nil, nil).who(); strings.HasPrefix(who, "anna@") {
			t.Errorf("%s by its own word", who)
		}
		return
	}
	if who := newSession([]string{"SUDO_USER=anna"}, nil, nil, nil).who(); !strings.HasPrefix(who, "anna@") {
		t.Errorf("%s", who)
	}
}
