package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wsgiStack is a WSGI app by Gunicorn: its header names come from CGI, where "-" and
// "_" are the same. The second service is the control: its port is relayed as it is.
const wsgiStack = `services:
  api: &api
    image: %s
    entrypoint: ["gunicorn", "-b", "0.0.0.0:8000", "--chdir", "/app", "wsgi:app"]
    volumes: ["./app:/app:ro"]
    ports: ["127.0.0.1:${API_PORT}:8000"]
    healthcheck: { test: ["CMD", "python3", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/')"] }
  raw:
    <<: *api
    ports: ["127.0.0.1:${REPORT_PORT}:8000"]
    x-steady: { protocol: tcp }
`

const wsgiApp = `def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_X_FORWARDED_FOR", "none").encode()]
`

func TestGunicorn_AClientCannotForgeItsAddressByAnotherSpelling(t *testing.T) {
	h := newHost(t, "e2e-headers")
	h.write("docker-compose.prod.yml", fmt.Sprintf(wsgiStack, gunicornImage(t)))
	if err := os.Mkdir(filepath.Join(h.dir, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.write("app/wsgi.py", wsgiApp)
	if r := h.steady("deploy", "all"); r.code != 0 {
		t.Fatalf("deploy: exit %d\n%s", r.code, r.err)
	}
	ask := func(port string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+h.env[port]+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["X_Forwarded_For"] = []string{"6.6.6.6"}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := ask("API_PORT"); strings.Contains(got, "6.6.6.6") || got == "none" {
		t.Errorf("the app takes the client for %q", got)
	}
	if got := ask("REPORT_PORT"); got != "6.6.6.6" {
		t.Errorf("the control is blind: %q", got)
	}
}
