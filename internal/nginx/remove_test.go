package nginx_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

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
