package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the store, as anybody could open it
)

// planted begins every value that must not be told, and is in nothing else.
const planted = "pl4nt"

// private is a stack that holds a planted value wherever people put a password.
// Variables of the test choose what goes wrong.
const private = `x-steady:
  hooks:
    after: { command: "${AFTER:-true} --token pl4nt-hook-host" }
  notify:
    - { webhook: "http://hook:pl4nt-webhook@127.0.0.1:${HOOK_PORT}/pl4nt-path" }
    - { command: "cat >/dev/null; exit 9 # pl4nt-receiver" }
services:
  web:
    image: ${WEB_IMAGE:-%[1]s:${TAG:-1}}
    build:
      context: .
      dockerfile_inline: |
        FROM %[2]s
        ARG NPM_TOKEN
        ARG REMOTE
        RUN echo "using $$NPM_TOKEN of $$REMOTE" ${BUILD:-}
      args: { NPM_TOKEN: pl4nt-build-arg, REMOTE: "https://git:pl4nt-build-url@example.org/x" }
    ports: ["127.0.0.1:${API_PORT}:8000"]
    stop_grace_period: 3s
    command: ["${START:-python3}", "/work/serve.py", "--requirepass", "pl4nt-command"]
    environment:
      API_TOKEN: pl4nt-environment
      DATABASE_URL: "postgres://app:pl4nt-url@db/app"
      RELEASE: "${GESALP_RELEASE:-1}"
    volumes: ["./work:/work:ro"]
    healthcheck:
      test: ["CMD", "${CHECK:-true}", "-a", "pl4nt-check"]
      interval: 30s
      timeout: 3s
    x-steady:
      probe: { deadline: 2s }
      hooks:
        before: { command: ["${BEFORE:-true}", "--dsn", "mysql://root:pl4nt-hook@db/app"] }
        stop: { command: 'echo stopping # pl4nt-hook-stop' }
  cache:
    image: ${CACHE_IMAGE:-%[2]s}
    init: true
    stop_grace_period: 3s
    command: ["sleep", "3600"]
    healthcheck:
      test: "REDISCLI_AUTH=pl4nt-shell-variable ${SHELL_CHECK:-true} -a pl4nt-shell || exit 1"
      interval: 30s
    x-steady: { probe: { deadline: 2s } }
`

const privateApp = `import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("", 8000), H).serve_forever()
`

// privately is a host with that stack, and with a registry that wants a password.
func privately(t *testing.T, project string) *host {
	h := newHost(t, project)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Www-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}`, http.StatusUnauthorized)
	}))
	t.Cleanup(registry.Close)
	h.env["REGISTRY"] = strings.TrimPrefix(registry.URL, "http://")
	h.env["HOOK_PORT"] = freePort(t)
	config := map[string]any{"auths": map[string]any{h.env["REGISTRY"]: map[string]string{"auth": "YXBwOnBsNG50LXJlZ2lzdHJ5"}}} // app:pl4nt-registry
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600), os.Mkdir(filepath.Join(h.dir, "work"), 0o755)); err != nil {
		t.Fatal(err)
	}
	h.write("docker-compose.prod.yml", fmt.Sprintf(private, project, gunicornImage(t)))
	h.write("work/serve.py", privateApp)
	h.stop()
	h.boot("DOCKER_CONFIG=" + dir)
	t.Cleanup(func() {
		for n := range 4 {
			_ = exec.Command("docker", "rmi", "-f", fmt.Sprintf("%s:%d", project, n)).Run()
		}
	})
	return h
}

// TestSecrets_NoOutputStoreOrLogTellsThem goes through a whole life, good and bad,
// and looks for the planted values in all that anybody could read of it.
func TestSecrets_NoOutputStoreOrLogTellsThem(t *testing.T) {
	h := privately(t, "hsecret-e2e")
	told := map[string]string{}
	run := func(code int, env map[string]string, args ...string) {
		t.Helper()
		r := h.with(env, args...)
		told[fmt.Sprint(env, args)] = r.out + r.err
		if code >= 0 && r.code != code {
			t.Errorf("%v steady %v: exit %d, want %d\n%s%s", env, args, r.code, code, r.out, r.err)
		}
	}
	run(0, nil, "deploy", "-y")
	for _, wrong := range []map[string]string{
		{"CHECK": "false"},
		{"CHECK": "redis-cli -a pl4nt-check-line ping"},
		{"SHELL_CHECK": "false"},
		{"START": "serve --requirepass pl4nt-command-line"},
		{"BEFORE": "migrate --dsn pl4nt-hook-line"},
		{"BEFORE": "false"},
		{"TAG": "2", "BUILD": "&& false"},
		{"CACHE_IMAGE": h.env["REGISTRY"] + "/app:1"},
	} {
		wrong["GESALP_RELEASE"] = "2"
		args := []string{"deploy", "-y"}
		if wrong["BUILD"] != "" {
			args = append(args, "--build")
		}
		run(3, wrong, args...)
	}
	run(0, map[string]string{"GESALP_RELEASE": "3", "AFTER": "no-such-program"}, "deploy", "-y", "--json")
	run(0, nil, "rollback", "web")
	everyView(h, run)
	run(0, nil, "down")
	run(-1, nil, "doctor")
	h.stop()
	for what, text := range told {
		tells(t, what, text)
	}
	tells(t, "the daemon's and the proxy's log", h.log.String())
	storeTells(t, filepath.Join(h.state, "steady.db"))
	filesTell(t, h.state, h.run)
	h.boot()
}

// everyView runs every command that shows something.
func everyView(h *host, run func(int, map[string]string, ...string)) {
	for _, args := range [][]string{
		{"plan"}, {"plan", "--build"}, {"status"}, {"stats", "--no-stream"}, {"releases"}, {"rollouts"}, {"audit"}, {"notify", "status"}, {"notify", "test"},
		{"certificates"}, {"lock", "show"}, {"maintenance", "status"}, {"version"}, {"check"}, {"check", "--sarif"}, {"doctor"}, {"nginx", "status"},
	} {
		run(-1, nil, args...)
		run(-1, nil, append([]string{"--json"}, args...)...)
	}
	for n := 1; h.steady("receipt", fmt.Sprint(n)).code == 0; n++ {
		id, page := fmt.Sprint(n), filepath.Join(h.dir, "receipt.html")
		run(-1, nil, "watch", id)
		run(-1, nil, "--json", "watch", id)
		run(-1, nil, "receipt", id)
		run(-1, nil, "--json", "receipt", id)
		run(-1, nil, "receipt", id, "--html", page)
		if b, err := os.ReadFile(page); err == nil {
			tells(h.t, "the page of rollout "+id, string(b))
		}
	}
}

func tells(t testing.TB, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, planted) {
			t.Errorf("%s tells %s", what, line)
		}
	}
}

// holdsValues are the columns of the store that hold values by design: SECURITY.md.
var holdsValues = []string{"releases.spec", "receivers.receivers", "outbox.receiver"}

// storeTells looks into every column of the store.
func storeTells(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	columns, err := db.Query("SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	var all [][2]string
	for columns.Next() {
		var c [2]string
		if err := columns.Scan(&c[0], &c[1]); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	found := map[string]bool{}
	for _, c := range all {
		var n int
		query := fmt.Sprintf("SELECT count(*) FROM %q WHERE CAST(%q AS TEXT) LIKE '%%%s%%'", c[0], c[1], planted)
		if err := db.QueryRow(query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		name := c[0] + "." + c[1]
		if found[name] = n > 0; n > 0 && !slices.Contains(holdsValues, name) {
			t.Errorf("the store's %s tells a planted value", name)
		}
	}
	if !found["releases.spec"] || len(all) < 30 {
		t.Errorf("looked at %d columns: the test would see nothing", len(all))
	}
}

// filesTell looks into every other file that daemon and proxy keep.
func filesTell(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "steady.db") {
				return err
			}
			b, err := os.ReadFile(path)
			tells(t, path, string(b))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
