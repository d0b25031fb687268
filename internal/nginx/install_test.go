package nginx_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
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
