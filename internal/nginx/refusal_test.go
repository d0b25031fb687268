package nginx_test

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/nginx"
)

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
