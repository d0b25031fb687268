package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/image"
	"gesalpai.ch/steady/test/load"
)

const assetsRate = 100 // requests per second for the page

// assetsHost serves release 1 of an app whose file has another name in each release.
func assetsHost(t *testing.T, project string) *host {
	t.Helper()
	engine, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", project+":v1").Run() })
	if err := image.Build(t.Context(), engine, project+":v1", filepath.Join(repo, "test/e2e/testdata/assets")); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, project)
	h.write("docker-compose.prod.yml", `services:
  web:
    image: `+project+`:v1
    ports: ["${API_PORT}:8000"]
    environment: { RELEASE: "${GESALP_RELEASE}" }
    x-steady: { monitor: 2s, assets: "${ASSETS:-/nothing/*}" }
`)
	h.deploy(1)
	return h
}

// file asks for the file of a release.
func (h *host) file(release int) (int, string) {
	h.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}
	res, err := c.Get(fmt.Sprintf("%s/static/app.%d.js", h.api(), release))
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// inWatch deploys a release and calls check again and again while its watch window
// is open; it gives the receipt.
func (h *host) inWatch(release int, check func()) steady.Receipt {
	h.t.Helper()
	h.env["GESALP_RELEASE"] = fmt.Sprint(release)
	done := make(chan result, 1)
	go func() { done <- h.steady("deploy", "-y", "--json") }()
	h.eventually("it answers", func() bool { return answers(h.t, h.api()) == fmt.Sprint(release) })
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		check()
	}
	r := <-done
	if r.code != 0 {
		h.t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	var last steady.Event
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Receipt == nil {
		h.t.Fatalf("no receipt: %v\n%s", err, r.out)
	}
	return *last.Receipt
}

func TestAssets_APageOfTheReleaseBeforeFindsItsFilesInTheWatchWindow(t *testing.T) {
	h := assetsHost(t, "e2e-assets")
	// The control: where no pattern matches, the page is broken for as long.
	h.inWatch(2, func() {
		if status, _ := h.file(1); status != 404 {
			t.Errorf("without x-steady.assets the file is found (%d): the rest shows nothing", status)
		}
	})
	h.env["ASSETS"] = "/static/*"
	h.deploy(3)
	l := load.Start(load.Options{URL: h.api(), Rate: assetsRate, Duration: time.Minute, WebSockets: -1, SSEs: -1,
		Mix: load.Mix{KeepAlive: 0.5, Fresh: 0.5}, Paths: load.Paths{KeepAlive: "/echo", Fresh: "/echo"}})
	asked := 0
	receipt := h.inWatch(4, func() {
		asked++
		for release := 3; release <= 4; release++ {
			if status, body := h.file(release); status != 200 || body != fmt.Sprint("release ", release) {
				t.Errorf("file of release %d, asked of release 4: %d %q", release, status, body)
			}
		}
		if status, _ := h.file(5); status != 404 {
			t.Errorf("a file that nobody has: %d", status)
		}
	})
	r := l.Stop()
	t.Logf("%d times each\n%s", asked, r)
	if !r.Clean() || len(r.Judge(r.Ascending()...)) > 0 {
		t.Errorf("lost %d of %d", r.Lost(), r.Sent())
	}
	if status, _ := h.file(3); status != 404 {
		t.Errorf("when release 3 has gone its file answers %d", status)
	}
	if status, _ := h.file(4); status != 200 {
		t.Errorf("release 4's own file answers %d", status)
	}
	// Neither has the third file: the release before was asked for it all the same.
	if got := receipt.Services[0].Releases[3].Elder; got != int64(2*asked) || receipt.Lost() != 0 {
		t.Errorf("the receipt counts %d of %d, %d lost", got, 2*asked, receipt.Lost())
	}
}
