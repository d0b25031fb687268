package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady/test/control"
	"gesalpai.ch/steady/test/load"
)

const (
	guideRollouts = 10  // of the api, through nginx
	guideRate     = 150 // requests per second, the five loads together
	guideH2Rate   = 20  // the same over HTTP/2
)

// script runs the stack's deploy.sh, as the guide does.
func (h *host) script(path string, args ...string) result {
	h.t.Helper()
	cmd := h.command(map[string]string{"PATH": path}, args...)
	cmd.Path, cmd.Args = filepath.Join(h.dir, "deploy.sh"), append([]string{"./deploy.sh"}, args...)
	var out, serr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &serr
	_ = cmd.Run()
	return result{cmd.ProcessState.ExitCode(), out.String(), serr.String()}
}

// layScript puts deploy.sh and what it builds from beside the Compose file.
func (h *host) layScript() {
	h.t.Helper()
	for _, name := range []string{"deploy.sh", "bin"} {
		if out, err := exec.Command("cp", "-a", filepath.Join(repo, "examples/gesalp", name), h.dir).CombinedOutput(); err != nil {
			h.t.Fatalf("copy %s: %v\n%s", name, err, out)
		}
	}
}

// deployScript deploys a release with deploy.sh and fails the test where that fails.
func (h *host) deployScript(release int, args ...string) {
	h.t.Helper()
	h.env["GESALP_RELEASE"] = fmt.Sprint(release)
	r := h.script(filepath.Dir(binary)+":"+os.Getenv("PATH"), append(args, "--yes", "--progress", "plain")...)
	if r.code != 0 {
		h.t.Fatalf("deploy.sh %v, release %d: exit %d\n%s%s\ndaemon:\n%s", args, release, r.code, r.out, r.err, h.log)
	}
}

func TestDeployScript_SaysWhatToDoWithoutSteady(t *testing.T) {
	h := newHost(t, "e2e-script")
	h.layScript()
	refused := h.script("/usr/bin:/bin", "api")
	if refused.code != 127 || !strings.Contains(refused.err, "steady is not installed") || !strings.Contains(refused.err, "hint: ") {
		t.Errorf("exit %d\n%s", refused.code, refused.err)
	}
	if r := h.script("/usr/bin:/bin"); r.code != 2 || !strings.Contains(r.err, "usage: ./deploy.sh all") {
		t.Errorf("exit %d\n%s", r.code, r.err)
	}
	small(h, "")
	h.env["WEB_IMAGE"] = "gesalp-api:v1"
	if r := h.script(filepath.Dir(binary)+":"+os.Getenv("PATH"), "nothing"); r.code != 2 || !strings.Contains(r.err, "has no service nothing") {
		t.Errorf("exit %d\n%s", r.code, r.err)
	}
}

// TestGuide_FromTopToBottomBehindNginxLosesNothing walks the guide: first
// deployment, nginx, TLS, verification, deployments under load, several
// instances, rollback, the logs; and then the guide's own procedure behind the
// same nginx under the same load, which must lose.
func TestGuide_FromTopToBottomBehindNginxLosesNothing(t *testing.T) {
	h, c := logged(t, "e2e-guide")
	h.layScript()
	e := newEdge(t)

	h.deployScript(1, "all")
	h.frontWith(e)
	h.verify(e)

	workers := e.settled()
	url := e.plain(edgeDomain)
	l := load.Start(load.Options{URL: url, Host: edgeDomain, Rate: guideRate, Duration: 20 * time.Minute})
	h2 := e.startH2(guideH2Rate)
	turns := []load.Shift{{Release: 1}}
	turn := func(release int, do func()) {
		s := load.Shift{Release: release, From: time.Now()}
		do()
		s.Done = time.Now()
		turns = append(turns, s)
	}
	for i := 2; i <= guideRollouts+1; i++ {
		turn(i, func() { h.deployScript(i, "api") })
	}
	h.must("scale", "api=2")
	turn(guideRollouts+2, func() { h.deployScript(guideRollouts+2, "all") })
	turn(guideRollouts+1, func() { h.must("rollback", "api") })
	report := l.Stop()
	asked, failed := h2()
	judge(t, h, c, report, turns)
	t.Logf("HTTP/2: %d asked, %d failed", asked, len(failed))
	if asked == 0 || len(failed) > 0 {
		t.Errorf("HTTP/2: of %d requests failed %v", asked, failed)
	}
	if now := e.workers(); !slices.Equal(now, workers) {
		t.Errorf("nginx was reloaded: workers %v, then %v", workers, now)
	}
	if got := e.read("log/gesalps-api-access.log"); strings.Count(got, "\n") < 100 {
		t.Errorf("the access log has %d bytes", len(got))
	}
	if got := e.read("log/gesalps-api-error.log"); strings.Contains(got, "[error]") {
		t.Errorf("nginx complains:\n%.2000s", got)
	}
	e.control(h)
	h.must("nginx", "remove", "gesalps-api", "--conf-dir", e.dir)
}

// must runs a command that has to succeed.
func (h *host) must(args ...string) result {
	h.t.Helper()
	r := h.steady(args...)
	if r.code != 0 {
		h.t.Fatalf("steady %v: exit %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r
}

// frontWith is the guide's "Configure Nginx": first plain, so that an ACME client
// can prove the domain, then with the certificate.
func (h *host) frontWith(e *edge) {
	h.t.Helper()
	args := []string{
		"nginx", "install", "--domain", edgeDomain, "--service", "api", "--name", "gesalps-api", "--conf-dir", e.dir,
		"--acme-webroot", filepath.Join(e.dir, "webroot"), "--log-dir", filepath.Join(e.dir, "log"), "--http-port", e.http, "--https-port", e.tls,
	}
	h.must(args...)
	e.write("webroot/.well-known/acme-challenge/token", "proof")
	if status, body := e.ask("/.well-known/acme-challenge/token"); status != 200 || body != "proof" {
		h.t.Errorf("ACME: %d %s", status, body)
	}
	args = append(args, "--certificate", e.cert, "--certificate-key", e.key)
	if r := h.must(args...); !strings.Contains(r.out, "nginx was reloaded once") {
		h.t.Errorf("install: %s%s", r.out, r.err)
	}
	if r := h.must(args...); !strings.Contains(r.out, "unchanged") {
		h.t.Errorf("install again: %s%s", r.out, r.err)
	}
	e.nginx("-t")
	if status, _ := e.ask("/health"); status != 308 {
		h.t.Errorf("plain HTTP answers %d, want a redirect", status)
	}
}

// ask asks nginx over plain HTTP.
func (e *edge) ask(path string) (int, string) {
	e.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+e.http+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = edgeDomain
	t := &http.Transport{DisableKeepAlives: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// verify is the guide's "Verify Deployment".
func (h *host) verify(e *edge) {
	h.t.Helper()
	client := e.client(false)
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + edgeDomain + "/health")
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		h.t.Errorf("health: %s", res.Status)
	}
	if r := h.must("ps"); !strings.Contains(r.out, "api") || !strings.Contains(r.out, "report-service") {
		h.t.Errorf("ps:\n%s", r.out)
	}
	h.must("logs", "api", "--tail", "5")
	if r := h.must("nginx", "status", "gesalps-api", "--conf-dir", e.dir); !strings.Contains(r.out, "127.0.0.1:"+h.env["API_PORT"]) || !strings.Contains(r.out, "404 on /") {
		h.t.Errorf("nginx status:\n%s", r.out)
	}
}

// client asks nginx over TLS, whatever the domain resolves to.
func (e *edge) client(h2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", "127.0.0.1:"+e.tls)
	}
	return &http.Client{Timeout: soon, Transport: &http.Transport{
		Protocols: &protocols, DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: e.roots},
	}}
}

// startH2 asks over HTTP/2, GET and POST in turn, until the function it gives is
// called, which tells how many were asked and what went wrong.
func (e *edge) startH2(rate int) (stop func() (int, []string)) {
	client := e.client(true)
	ctx, cancel := context.WithCancel(context.Background())
	var asked atomic.Int64
	var mu sync.Mutex
	var failed []string
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			n := asked.Add(1)
			wg.Go(func() {
				if err := askH2(client, n); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, err.Error())
				}
			})
		}
	})
	return func() (int, []string) {
		cancel()
		wg.Wait()
		client.CloseIdleConnections()
		return int(asked.Load()), failed
	}
}

func askH2(client *http.Client, n int64) error {
	res, err := (*http.Response)(nil), error(nil)
	sent := fmt.Sprintf("body %d", n)
	if n%2 == 0 {
		res, err = client.Get("https://" + edgeDomain + "/echo")
	} else {
		res, err = client.Post("https://"+edgeDomain+"/echo", "text/plain", strings.NewReader(sent))
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != 200 || res.ProtoMajor != 2:
		return fmt.Errorf("%s %s", res.Proto, res.Status)
	case n%2 == 1 && string(b) != sent:
		return fmt.Errorf("%q came back as %q", sent, b)
	}
	return nil
}

// control is the positive control: the guide's own procedure, stop and start and
// reload, behind the same nginx under the same load.
func (e *edge) control(h *host) {
	t := e.t
	t.Helper()
	engine, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	text := freePort(t)
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	site := strings.NewReplacer("127.0.0.1:"+h.env["API_PORT"], "127.0.0.1:"+text, edgeDomain, controlDomain, "gesalps", "control").
		Replace(e.read("sites-available/gesalps-api"))
	e.write("sites-enabled/control", site)
	e.nginx("-s", "reload")
	s := &control.Service{Engine: engine, Name: "e2e-nginx-control", Port: uint16(port), Inner: 8000, Env: []string{"START_DELAY=500ms"}}
	t.Cleanup(func() { _ = s.Down(context.Background()) })
	if err := s.Replace(context.Background(), "gesalp-api:v1", "RELEASE=1"); err != nil {
		t.Fatal(err)
	}
	answers(t, "http://127.0.0.1:"+text)
	l := load.Start(load.Options{URL: e.plain(controlDomain), Host: controlDomain, Rate: guideRate, Duration: time.Minute})
	for release := 2; release <= 3; release++ {
		if err := s.Replace(context.Background(), "gesalp-api:v1", fmt.Sprintf("RELEASE=%d", release)); err != nil {
			t.Fatal(err)
		}
		answers(t, "http://127.0.0.1:"+text)
		e.nginx("-s", "reload")
	}
	r := l.Stop()
	t.Logf("the guide's own procedure behind nginx, twice: %d of %d lost, %d streams cut", r.Lost(), r.Sent(), r.Cut())
	if r.Lost() == 0 {
		t.Error(control.ErrBlind)
	}
}
