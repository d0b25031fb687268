package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// put sends a table as some other daemon would write it.
func (r *rig) put(table string) error {
	r.t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.options.Socket)
	}}}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPut, "http://proxy/v1/table", strings.NewReader(table))
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	e := &steady.Error{}
	if err := json.NewDecoder(res.Body).Decode(e); err != nil {
		r.t.Fatal(err)
	}
	return e
}

// What an older daemon does not say is not there; what a newer one says, and this
// proxy would pass over, is refused in words and changes nothing.
func TestTable_OfAnotherVersionIsServedWholeOrRefused(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("one")))
	r.holds(steady.HTTP, gateFor(1, time.Minute))
	other := backend(t, "b", 2, says("two"))
	const plain = `{"version":50,"listeners":[{"host":"127.0.0.1","port":0,"protocol":"http","pool":"shop/api:80"}],` +
		`"pools":[{"name":"shop/api:80","upstreams":[{"id":"b","name":"b","addr":"ADDR","release":2}]}]}`
	older := strings.Replace(plain, "ADDR", other.Addr, 1)
	if err := r.put(older); err != nil {
		t.Fatal(err)
	}
	if code, body := r.get("/"); code != http.StatusOK || body != "two" {
		t.Errorf("%d %q: want the gate open, and the new one", code, body)
	}
	newer := strings.Replace(strings.Replace(older, `"version":50`, `"version":51`, 1), `"name":"shop/api:80"`, `"name":"shop/api:80","mirror":{"to":"x"}`, 1)
	err := r.put(newer)
	if !errors.Is(err, steady.ErrUnsupported) || !strings.Contains(err.Error(), "mirror") || !strings.Contains(err.Error(), "older") {
		t.Errorf("%v: want it refused by name", err)
	}
	if now, err := r.client.Table(t.Context()); err != nil || now.Version != 50 {
		t.Errorf("version %d in force, %v", now.Version, err)
	}
}

// A proxy serves what is plain, whichever version wrote it: so nothing that a table
// may do without may be written into one that does.
func TestTable_SaysNothingOfWhatItDoesWithout(t *testing.T) {
	b, err := json.Marshal(steady.Table{Version: 1,
		Listeners: []steady.Listener{{Port: 80, Protocol: steady.HTTP, Pool: "p"}},
		Pools:     []steady.Pool{{Name: "p", Upstreams: []steady.Upstream{{ID: "i", Name: "n", Addr: "a", Release: 1}}}},
	})
	const want = `{"version":1,"listeners":[{"port":80,"protocol":"http","pool":"p"}],"pools":[{"name":"p","upstreams":[{"id":"i","name":"n","addr":"a","release":1}]}]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestClient_SaysThatAProxyIsOlder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NewServeMux()}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	_, err = proxy.NewClient(path).Renew(t.Context(), []string{"shop/db"})
	if !errors.Is(err, steady.ErrUnsupported) || !strings.Contains(err.Error(), "older") {
		t.Errorf("%v", err)
	}
}
