package nginx_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/nginx"
)

// get asks through nginx for the site's domain.
func (f *front) get(path string, header ...string) (*http.Response, string) {
	f.t.Helper()
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", f.http, path), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.do(&http.Transport{DisableKeepAlives: true}, req, header...)
}

func (f *front) do(t *http.Transport, req *http.Request, header ...string) (*http.Response, string) {
	f.t.Helper()
	defer t.CloseIdleConnections()
	req.Host = "api.example.org"
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res, string(b)
}

func seen(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s for=%q proto=%q host=%q connection=%q upgrade=%q", r.Method, r.URL.RequestURI(), r.Proto,
		r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Host, r.Header.Get("Connection"), r.Header.Get("Upgrade"))
}

func TestInstall_PassesRequestsOnAndReloadsOnce(t *testing.T) {
	f := newFront(t).run()
	site := f.site(backend(t, seen))
	change, err := f.Install(t.Context(), site, false)
	if err != nil {
		t.Fatal(err)
	}
	if !change.Changed || !change.Reloaded || change.Kept != "" || len(change.Diff) == 0 {
		t.Errorf("%+v", change)
	}
	res, body := f.get("/a%20b?c=d", "X-Forwarded-For", "6.6.6.6")
	const want = `GET /a%20b?c=d HTTP/1.1 for="127.0.0.1" proto="http" host="api.example.org" connection="" upgrade=""`
	if res.StatusCode != 200 || body != want {
		t.Errorf("%s %s, want %s", res.Status, body, want)
	}
	f.until("the request is logged", func() bool { return strings.Contains(f.text("log/shop-api-access.log"), `"GET /a%20b?c=d`) })
	if got := f.text("log/shop-api-error.log"); got != "" {
		t.Errorf("error log %q", got)
	}
	before, began := f.tree(), reloadedAt(t, f)
	again, err := f.Install(t.Context(), site, false)
	if err != nil || again.Changed || again.Reloaded {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, f.tree()); diff != "" || !reloadedAt(t, f).Equal(began) {
		t.Errorf("a second time changed something:\n%s", diff)
	}
}

func reloadedAt(t *testing.T, f *front) time.Time {
	t.Helper()
	st, err := f.Status(t.Context(), "shop-api")
	if err != nil {
		t.Fatal(err)
	}
	return st.Reloaded
}

func TestInstall_TLSRedirectsAndAnswersACME(t *testing.T) {
	f := newFront(t).run()
	site := f.site(backend(t, seen))
	site.Certificate, site.CertificateKey = certify(t, f.dir, time.Now().Add(90*24*time.Hour), "api.example.org")
	if _, err := f.Install(t.Context(), site, false); err != nil {
		t.Fatal(err)
	}
	res, _ := f.get("/x?y=z")
	if want := fmt.Sprintf("https://api.example.org:%d/x?y=z", f.tls); res.StatusCode != 308 || res.Header.Get("Location") != want {
		t.Errorf("%s to %s, want %s", res.Status, res.Header.Get("Location"), want)
	}
	challenge := filepath.Join(f.dir, ".well-known/acme-challenge")
	if err := os.MkdirAll(challenge, 0o755); err != nil {
		t.Fatal(err)
	}
	f.write(".well-known/acme-challenge/token", "answer")
	if res, body := f.get("/.well-known/acme-challenge/token"); res.StatusCode != 200 || body != "answer" {
		t.Errorf("acme: %s %s", res.Status, body)
	}
	for _, proto := range []int{1, 2} {
		res, body := f.getTLS(site.Certificate, proto)
		if res.StatusCode != 200 || res.ProtoMajor != proto || !strings.Contains(body, `proto="https"`) {
			t.Errorf("HTTP/%d: %s %s %s", proto, res.Proto, res.Status, body)
		}
	}
}

func (f *front) getTLS(certificate string, proto int) (*http.Response, string) {
	f.t.Helper()
	pool := x509.NewCertPool()
	b, err := os.ReadFile(certificate)
	if err != nil || !pool.AppendCertsFromPEM(b) {
		f.t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(proto == 1)
	protocols.SetHTTP2(proto == 2)
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/", f.tls), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.do(&http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "api.example.org"}}, req)
}

func TestInstall_UpgradesAndStreamsAtOnce(t *testing.T) {
	f := newFront(t).run()
	more := make(chan struct{})
	site := f.site(backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			rw.Flush()
			line, _ := rw.ReadString('\n')
			fmt.Fprint(conn, "echo "+line)
			return
		}
		body, _ := io.ReadAll(r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		// Ended by the connection's end, which nginx would buffer; it passes chunks on as they come.
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: %s %s\n\n", r.Method, body)
		<-more
	}))
	if _, err := f.Install(t.Context(), site, false); err != nil {
		t.Fatal(err)
	}
	c, in := f.talk("GET / HTTP/1.1\r\nHost: api.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if head := readHead(t, in); !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Fatalf("upgrade: %s", head)
	}
	fmt.Fprint(c, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	for _, method := range []string{"GET", "POST"} {
		c, in := f.talk(method + " /events HTTP/1.1\r\nHost: api.example.org\r\nAccept: text/event-stream\r\nContent-Length: 4\r\n\r\nbody")
		if head := readHead(t, in); !strings.HasPrefix(head, "HTTP/1.1 200") {
			t.Fatalf("%s of a stream: %s", method, head)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = in.ReadString('\n') // the chunk's length
		if line, err := in.ReadString('\n'); line != "data: "+method+" body\n" {
			t.Errorf("the first event was not passed on at once: %q, %v", line, err)
		}
		more <- struct{}{}
	}
}

func (f *front) talk(text string) (net.Conn, *bufio.Reader) {
	f.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.http))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, text)
	return c, bufio.NewReader(c)
}

func readHead(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func TestInstall_PostIsNeverSentTwice(t *testing.T) {
	f := newFront(t).run()
	var asked = make(chan string, 64)
	site := f.site(backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- r.Method + " " + r.URL.Path
		if r.URL.Path == "/first" {
			return // leaves nginx a kept connection
		}
		panic(http.ErrAbortHandler)
	}))
	if _, err := f.Install(t.Context(), site, false); err != nil {
		t.Fatal(err)
	}
	f.get("/first")
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/once", f.http), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	res, _ := f.do(&http.Transport{DisableKeepAlives: true}, req)
	if res.StatusCode != 502 {
		t.Errorf("%s, want 502", res.Status)
	}
	var all []string
	for range len(asked) {
		all = append(all, <-asked)
	}
	if want := []string{"GET /first", "POST /once"}; !slices.Equal(all, want) {
		t.Errorf("the app was asked %q, want %q", all, want)
	}
}

func TestInstall_WithoutRunningNginxWaitsForItsStart(t *testing.T) {
	f := newFront(t)
	site := f.site(backend(t, seen))
	change, err := f.Install(t.Context(), site, false)
	if err != nil || change.Reloaded || !change.Changed || !strings.Contains(strings.Join(change.Warnings, "\n"), "does not run") {
		t.Fatalf("%+v, %v", change, err)
	}
	f.run()
	if res, _ := f.get("/"); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

// refused installs a site that must be refused with that error, and checks that
// nothing is left of it and that nginx was not reloaded.
func (f *front) refused(site steady.Site, want error, words ...string) *steady.Error {
	f.t.Helper()
	before := f.tree()
	_, err := f.Install(f.t.Context(), site, false)
	e := steady.AsError(err)
	if !errors.Is(err, want) || e.Hint == "" {
		f.t.Fatalf("%v, hint %q, want code %v", err, e.Hint, want)
	}
	told := e.Text + "\n" + strings.Join(e.Tail, "\n")
	for _, w := range words {
		if !strings.Contains(told, w) {
			f.t.Errorf("%q lacks %q", told, w)
		}
	}
	if diff := cmp.Diff(before, f.tree()); diff != "" {
		f.t.Errorf("left behind:\n%s", diff)
	}
	return e
}

func TestInstall_FailedTestTakesEverythingBack(t *testing.T) {
	f := newFront(t).run()
	good := f.site(backend(t, seen))
	if _, err := f.Install(t.Context(), good, false); err != nil {
		t.Fatal(err)
	}
	// nginx finds this out, and only with the site in place: the upstream's name is
	// another's already.
	f.write("conf.d/other.conf", "upstream steady_new_one { server 127.0.0.1:1; }\n")
	bad := good
	bad.Name, bad.Domains = "new-one", []string{"new.example.org"}
	f.refused(bad, steady.ErrNginx, "nginx -t fails with site new-one", "[emerg]", "steady_new_one")
	// The same for a change of a site that is there.
	worse := good
	worse.LogDir = filepath.Join(f.dir, "no-such")
	f.refused(worse, steady.ErrNginx, "nginx -t fails with site shop-api", "No such file or directory")
	if res, _ := f.get("/"); res.StatusCode != 200 {
		t.Errorf("after the refusals: %s", res.Status)
	}
}

func TestInstall_PortThatIsTakenTakesEverythingBack(t *testing.T) {
	f := newFront(t).run()
	l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", f.http))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f.refused(f.site("127.0.0.1:1"), steady.ErrNginx, "did not take its new configuration", "Address already in use")
}

func TestInstall_PresentConfigurationThatFailsIsTold(t *testing.T) {
	f := newFront(t)
	f.write("conf.d/bad.conf", "nonsense on;\n")
	f.refused(f.site("127.0.0.1:1"), steady.ErrNginx, "before anything was changed", `unknown directive "nonsense"`)
}

func TestInstall_ConfigurationThatDoesNotReadSitesIsTold(t *testing.T) {
	f := newFront(t)
	f.write("nginx.conf", strings.Replace(f.text("nginx.conf"), "include "+f.dir+"/sites-enabled/*;", "", 1))
	f.refused(f.site("127.0.0.1:1"), steady.ErrNginx, "does not read")
}

func TestInstall_RefusesCertificatesThatAreNone(t *testing.T) {
	f := newFront(t)
	valid := time.Now().Add(90 * 24 * time.Hour)
	certificate, key := certify(t, f.dir, valid, "api.example.org")
	_, another := certify(t, f.dir, valid, "api.example.org")
	old, oldKey := certify(t, f.dir, time.Now().Add(-time.Hour), "api.example.org")
	for _, c := range []struct{ certificate, key, words string }{
		{"/no/such.pem", key, "/no/such.pem cannot be read"},
		{certificate, "/no/such.pem", "/no/such.pem cannot be read"},
		{certificate, another, "are no pair"},
		{f.write("broken.pem", "nothing"), key, "are no pair"},
		{old, oldKey, "expired"},
		{certificate, "", "go together"},
	} {
		site := f.site("127.0.0.1:1")
		site.Certificate, site.CertificateKey = c.certificate, c.key
		f.refused(site, steady.ErrUsage, c.words)
	}
}

func TestInstall_WarnsOfCertificateForAnother(t *testing.T) {
	f := newFront(t)
	site := f.site("127.0.0.1:1")
	site.Certificate, site.CertificateKey = certify(t, f.dir, time.Now().Add(5*24*time.Hour), "www.example.org")
	change, err := f.Install(t.Context(), site, false)
	told := strings.Join(change.Warnings, "\n")
	if err != nil || !strings.Contains(told, "is not for api.example.org") || !strings.Contains(told, "expires on") {
		t.Errorf("%q, %v", told, err)
	}
}

func TestInstall_RefusesHostOfAnotherSite(t *testing.T) {
	f := newFront(t)
	f.write("sites-available/blog", fmt.Sprintf("server { listen %d; server_name www.example.org API.example.org; root /srv; }\n", f.http))
	f.enable("blog")
	f.refused(f.site("127.0.0.1:8000"), steady.ErrSiteTaken, "claimed by "+f.dir+"/sites-enabled/blog")
	// On another port it is no rival.
	f.write("sites-available/blog", fmt.Sprintf("server { listen %d; server_name api.example.org; root /srv; }\n", f.tls))
	if _, err := f.Install(t.Context(), f.site("127.0.0.1:8000"), false); err != nil {
		t.Error(err)
	}
}

func TestInstall_SaysWhenAnotherSiteServesTheServiceAlready(t *testing.T) {
	f := newFront(t)
	f.write("sites-available/gesalps-api", fmt.Sprintf("upstream b { least_conn; server localhost:8000; }\nserver { listen %d; server_name api.example.org; location / { proxy_pass http://b; } }\n", f.http))
	f.enable("gesalps-api")
	e := f.refused(f.site("127.0.0.1:8000"), steady.ErrSiteTaken, "passes on to 127.0.0.1:8000")
	if !strings.Contains(e.Hint, "--name gesalps-api") {
		t.Errorf("hint %q", e.Hint)
	}
}

func TestInstall_AdoptsASiteOfTheSameNameOnlyWithYes(t *testing.T) {
	f := newFront(t).run()
	site := f.site(backend(t, seen))
	old := fmt.Sprintf("upstream b { server 127.0.0.1:8000; server 127.0.0.1:8001; }\nserver { listen %d; server_name api.example.org; location / { proxy_pass http://b; } }\n", f.http)
	f.write("sites-available/shop-api", old)
	f.enable("shop-api")
	f.refused(site, steady.ErrSiteTaken, "- passes on to 127.0.0.1:8000, 127.0.0.1:8001", "+ passes on to "+site.Upstream, "- upstream b {")
	change, err := f.Install(t.Context(), site, true)
	if err != nil || !change.Reloaded {
		t.Fatalf("%+v, %v", change, err)
	}
	if f.text("sites-available/shop-api.before-steady") != old || change.Kept == "" {
		t.Errorf("the old file is not kept: %+v", change)
	}
	if res, _ := f.get("/"); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

func TestInstall_DoesNotTakeTheSiteOfAnotherService(t *testing.T) {
	f := newFront(t)
	if _, err := f.Install(t.Context(), f.site("127.0.0.1:8000"), false); err != nil {
		t.Fatal(err)
	}
	other := f.site("127.0.0.1:9000")
	other.Ref = "blog/api"
	f.refused(other, steady.ErrSiteTaken, "is another service's", "- passes on to 127.0.0.1:8000")
}

func TestRemove_TakesOnlyWhatIsOurs(t *testing.T) {
	f := newFront(t).run()
	before := f.tree()
	if _, err := f.Install(t.Context(), f.site(backend(t, seen)), false); err != nil {
		t.Fatal(err)
	}
	change, err := f.Remove(t.Context(), "shop-api")
	if err != nil || !change.Reloaded {
		t.Errorf("%+v, %v", change, err)
	}
	if diff := cmp.Diff(before, f.tree()); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
	if _, err := f.Remove(t.Context(), "shop-api"); !errors.Is(err, steady.ErrNoSite) {
		t.Error(err)
	}
	if _, err := f.Remove(t.Context(), "../nginx.conf"); !errors.Is(err, steady.ErrNoSite) {
		t.Error(err)
	}
	f.write("sites-available/hand", "# by hand\n")
	if _, err := f.Remove(t.Context(), "hand"); !errors.Is(err, steady.ErrSiteTaken) || f.text("sites-available/hand") == "" {
		t.Error(err)
	}
}

func TestRemove_PutsBackWhatCannotGo(t *testing.T) {
	f := newFront(t)
	if _, err := f.Install(t.Context(), f.site("127.0.0.1:1"), false); err != nil {
		t.Fatal(err)
	}
	f.write("sites-available/other", fmt.Sprintf("server { listen %d; location / { proxy_pass http://$steady_shop_api_connection; } }\n", f.http))
	f.enable("other") // it uses the site's variable
	before := f.tree()
	if _, err := f.Remove(t.Context(), "shop-api"); !errors.Is(err, steady.ErrNginx) {
		t.Error(err)
	}
	if diff := cmp.Diff(before, f.tree()); diff != "" {
		t.Errorf("not put back:\n%s", diff)
	}
}

func TestStatus_SaysWhatIsAndWhoAnswers(t *testing.T) {
	f := newFront(t).run()
	if _, err := f.Status(t.Context(), "shop-api"); !errors.Is(err, steady.ErrNoSite) {
		t.Error(err)
	}
	upstream := backend(t, seen)
	began := time.Now()
	if _, err := f.Install(t.Context(), f.site(upstream), false); err != nil {
		t.Fatal(err)
	}
	st, err := f.Status(t.Context(), "shop-api")
	if err != nil {
		t.Fatal(err)
	}
	if !st.Written || !st.Ours || !st.Enabled || !st.Valid || !st.Running || st.Answers != "200 on /" || st.Fault != "" ||
		!slices.Equal(st.Upstream, []string{upstream}) || !slices.Equal(st.Domains, []string{"api.example.org"}) {
		t.Errorf("%+v", st)
	}
	if late := st.Reloaded.Sub(began); late < -3*time.Second || late > 20*time.Second {
		t.Errorf("reloaded %s after the install began", late)
	}
	f.write("conf.d/bad.conf", "nonsense on;\n")
	dead := f.site("127.0.0.1:1")
	f.write("sites-available/shop-api", strings.ReplaceAll(f.text("sites-available/shop-api"), upstream, dead.Upstream))
	st, err = f.Status(t.Context(), "shop-api")
	if err != nil || st.Valid || len(st.Said) == 0 || !strings.Contains(st.Fault, "refused") {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestInstall_WithoutNginxSaysHowToGetIt(t *testing.T) {
	f := newFront(t)
	f.Host = nginx.New(nginx.Options{ConfDir: f.dir, Binary: filepath.Join(f.dir, "no-nginx")})
	if e := f.refused(f.site("127.0.0.1:1"), steady.ErrNginx, "nginx is not installed"); !strings.Contains(e.Hint, "apt-get install nginx") {
		t.Errorf("hint %q", e.Hint)
	}
	if _, err := f.Status(t.Context(), "shop-api"); !errors.Is(err, steady.ErrNginx) {
		t.Error(err)
	}
}
