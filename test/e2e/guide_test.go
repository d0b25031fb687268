package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady/test/acme"
	"gesalpai.ch/steady/test/control"
	"gesalpai.ch/steady/test/load"
)

const (
	guideRate   = 120 // requests per second, the five loads together
	guideH2Rate = 40  // the same over HTTP/2, without streams
	guideBehind = 10  // of the services behind the api
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
// deployment, nginx, a certificate from an ACME server, verification, deployments
// of all services under load, several instances, rollback, the logs; and then the
// guide's own procedure behind the same nginx under the same load, which must lose.
func TestGuide_FromTopToBottomBehindNginxLosesNothing(t *testing.T) {
	h, c := logged(t, "e2e-guide")
	h.layScript()
	e := newEdge(t)

	h.deployScript(1, "all")
	h.frontWith(e)
	h.verify(e)

	workers := e.settled()
	loads := e.loads(edgeDomain)
	n, turns := rollouts(t, 4), []load.Shift{{Release: 1}}
	turn := func(release int, do func()) {
		s := load.Shift{Release: release, From: time.Now()}
		do()
		s.Done = time.Now()
		turns = append(turns, s)
	}
	for i := 2; i <= n+1; i++ {
		if i == n+1 {
			h.must("scale", "api=2")
		}
		turn(i, func() { h.deployScript(i, "all") })
		h.runs(i)
	}
	turn(n, func() { h.must("rollback", "api") })
	for _, l := range loads {
		l.Stop()
	}
	for _, l := range loads {
		t.Log(l.what)
		judge(t, h, c, l.Stop(), turns)
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

// named is a load and what it is.
type named struct {
	*load.Running
	what string
}

// loads fires at the domain over HTTP/1.1 and over HTTP/2, on kept and on fresh
// connections, POST included; and by way of the api at the services behind it.
func (e *edge) loads(domain string) []named {
	behind := load.Options{
		Rate: guideBehind, HTTP2: true, Duration: 20 * time.Minute,
		Mix: load.Mix{KeepAlive: 0.5, Fresh: 0.5}, Paths: load.Paths{KeepAlive: "/ask/report", Fresh: "/ask/queue"},
	}
	return []named{
		{e.load(domain, load.Options{Rate: guideRate, Duration: 20 * time.Minute}), "HTTP/1.1"},
		{e.load(domain, load.Options{Rate: guideH2Rate, Duration: 20 * time.Minute, HTTP2: true}), "HTTP/2"},
		{e.load(domain, behind), "HTTP/2, report-service and queue by way of the api"},
	}
}

// stack is how many services the reference stack has.
const stack = 5

// runs fails the test unless every service runs the release, and nothing else runs.
func (h *host) runs(release int) {
	h.t.Helper()
	const format = `{{index .Config.Labels "com.docker.compose.service"}}{{range .Config.Env}} {{.}}{{end}}`
	out, err := exec.Command("docker", append([]string{"inspect", "--format", format}, h.containers()...)...).Output()
	if err != nil {
		h.t.Fatalf("docker inspect: %v", err)
	}
	services := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		services[words[0]] = true
		if !slices.Contains(words, fmt.Sprintf("RELEASE=%d", release)) {
			h.t.Errorf("after the rollout of release %d a container of another runs: %s", release, line)
		}
	}
	if len(services) != stack {
		h.t.Errorf("after the rollout of release %d run %v", release, services)
	}
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

// frontWith is the guide's "Configure Nginx" and "SSL": first plain, so that an ACME
// server can see that the domain is ours, then with the certificate it gave.
func (h *host) frontWith(e *edge) {
	h.t.Helper()
	e.ca = acme.Start(h.t, acme.Validated{HTTP: number(h.t, e.http), TLS: closedPort(h.t)})
	e.roots = e.ca.Issued
	if err := e.obtain(edgeDomain); err == nil {
		h.t.Error("there was a certificate before there was a site: the ACME server looks at nothing")
	}
	args := []string{
		"nginx", "install", "--domain", edgeDomain, "--service", "api", "--name", "gesalps-api", "--conf-dir", e.dir,
		"--acme-webroot", e.webroot(), "--log-dir", filepath.Join(e.dir, "log"), "--http-port", e.http, "--https-port", e.tls,
	}
	h.must(args...)
	if err := e.obtain(edgeDomain); err != nil {
		h.t.Fatal(err)
	}
	live := filepath.Join(e.dir, "live", edgeDomain)
	args = append(args, "--certificate", filepath.Join(live, "fullchain.pem"), "--certificate-key", filepath.Join(live, "privkey.pem"))
	e.reloading(func() {
		if r := h.must(args...); !strings.Contains(r.out, "nginx was reloaded once") {
			h.t.Errorf("install: %s%s", r.out, r.err)
		}
	})
	if r := h.must(args...); !strings.Contains(r.out, "unchanged") {
		h.t.Errorf("install again: %s%s", r.out, r.err)
	}
	e.nginx("-t")
	if status, _ := e.ask("/health"); status != 308 {
		h.t.Errorf("plain HTTP answers %d, want a redirect", status)
	}
	if err := e.obtain(edgeDomain); err != nil {
		h.t.Errorf("renew: %v", err)
	}
	e.reloading(func() { e.nginx("-s", "reload") }) // certbot's deploy hook
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
	client := e.client()
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + edgeDomain + "/health")
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		h.t.Errorf("health: %s", res.Status)
	}
	leaf := res.TLS.PeerCertificates[0]
	if !strings.Contains(leaf.Issuer.CommonName, "Pebble") {
		h.t.Errorf("the certificate is of %q", leaf.Issuer.CommonName)
	}
	if renewed, _ := pem.Decode([]byte(e.read("live/" + edgeDomain + "/fullchain.pem"))); renewed == nil || !bytes.Equal(renewed.Bytes, leaf.Raw) {
		h.t.Error("nginx does not serve the certificate that was renewed")
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
func (e *edge) client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", "127.0.0.1:"+e.tls)
	}
	return &http.Client{Timeout: soon, Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: e.roots}}}
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
	if err := e.obtain(controlDomain); err != nil { // of the webroot that the site serves
		t.Fatal(err)
	}
	text := freePort(t)
	site := strings.NewReplacer("127.0.0.1:"+h.env["API_PORT"], "127.0.0.1:"+text, edgeDomain, controlDomain, "gesalps", "control").
		Replace(e.read("sites-available/gesalps-api"))
	e.write("sites-enabled/control", site)
	e.reloading(func() { e.nginx("-s", "reload") })
	s := &control.Service{Engine: engine, Name: "e2e-nginx-control", Port: uint16(number(t, text)), Inner: 8000, Env: []string{"START_DELAY=500ms"}}
	t.Cleanup(func() { _ = s.Down(context.Background()) })
	if err := s.Replace(context.Background(), "gesalp-api:v1", "RELEASE=1"); err != nil {
		t.Fatal(err)
	}
	answers(t, "http://127.0.0.1:"+text)
	loads := e.loads(controlDomain)[:2]
	for _, l := range loads {
		h.eventually("the control is under load", func() bool { return l.Counts().Sent > guideH2Rate })
		if n := l.Counts().Lost; n > 0 {
			t.Errorf("%s: %d lost before anything was replaced", l.what, n)
		}
	}
	for release := 2; release <= 3; release++ {
		if err := s.Replace(context.Background(), "gesalp-api:v1", fmt.Sprintf("RELEASE=%d", release)); err != nil {
			t.Fatal(err)
		}
		answers(t, "http://127.0.0.1:"+text)
		e.nginx("-s", "reload")
	}
	for _, l := range loads {
		r := l.Stop()
		t.Logf("the guide's own procedure behind nginx, twice, %s: %d of %d lost, %d streams cut", l.what, r.Lost(), r.Sent(), r.Cut())
		if r.Lost() == 0 {
			t.Errorf("%s: %v", l.what, control.ErrBlind)
		}
	}
}
