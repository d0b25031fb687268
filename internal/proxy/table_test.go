package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

func TestServe_RefusesATableThatIsNotNewer(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	same := r.table(steady.Auto)
	same.Version = 1
	if err := r.client.Serve(t.Context(), same); !errors.Is(err, steady.ErrUsage) {
		t.Errorf("%v", err)
	}
	if code, body := r.get("/"); code != 200 || body != "a" {
		t.Errorf("%d %q", code, body)
	}
}

func TestServe_RefusesATableThatContradictsItself(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{})
	for name, spoil := range map[string]func(*steady.Table){
		"no such pool": func(t *steady.Table) { t.Listeners[0].Pool = "x" },
		"protocol":     func(t *steady.Table) { t.Listeners[0].Protocol = "udp" },
		"host":         func(t *steady.Table) { t.Listeners[0].Host = "localhost" },
		"pool twice":   func(t *steady.Table) { t.Pools = append(t.Pools, t.Pools[0]) },
		"address":      func(t *steady.Table) { t.Pools[0].Upstreams = []steady.Upstream{{ID: "a", Addr: "10.0.0.1"}} },
		"no id":        func(t *steady.Table) { t.Pools[0].Upstreams = []steady.Upstream{{Addr: "10.0.0.1:1"}} },
	} {
		table := r.table(steady.Auto)
		spoil(&table)
		if err := r.client.Serve(t.Context(), table); !errors.Is(err, steady.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServe_PortTakenNamesTheHolderAndChangesNothing(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	foreign, port := foreignListener(t)
	before := r.status()
	table := r.table(steady.Auto, backend(t, "b", 2, says("b")))
	free := steady.Listener{Host: "127.0.0.1", Port: freePort(t), Protocol: steady.Auto, Pool: poolName}
	taken := steady.Listener{Port: port, Protocol: steady.Auto, Pool: poolName}
	table.Listeners = append(table.Listeners, free, taken)
	err := r.client.Serve(t.Context(), table)
	if !errors.Is(err, steady.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", foreign)) {
		t.Errorf("%v", err)
	}
	if err := r.client.Free(t.Context(), []steady.Listener{taken}); !errors.Is(err, steady.ErrPortTaken) {
		t.Errorf("free: %v", err)
	}
	if ln, err := net.Listen("tcp", free.Addr()); err != nil {
		t.Errorf("the free one was kept: %v", err)
	} else {
		ln.Close()
	}
	if d := cmp.Diff(before, r.status()); d != "" {
		t.Error(d)
	}
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
}

func TestServe_FullDiskChangesNothing(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	r.stop()
	full := fullDisk(t)
	b, err := os.ReadFile(r.options.TableFile)
	if err != nil {
		t.Fatal(err)
	}
	r.options.TableFile = filepath.Join(full, "table.json")
	if err := os.WriteFile(r.options.TableFile, b, 0o600); err != nil {
		t.Fatal(err)
	}
	fillUp(t, full)
	r.start()
	us := make([]steady.Upstream, 200)
	for i := range us {
		us[i] = upstreamAt(fmt.Sprint("b", i), 2, "127.0.0.1:1")
	}
	if err := r.client.Serve(t.Context(), r.table(steady.Auto, us...)); !errors.Is(err, steady.ErrStore) {
		t.Errorf("%v", err)
	}
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
	if now, err := os.ReadFile(r.options.TableFile); err != nil || string(now) != string(b) {
		t.Errorf("the table file changed: %q %v", now, err)
	}
}

func TestMend_IsInForceOnAFullDiskAndInTheFileOnceThereIsRoom(t *testing.T) {
	a, b := backend(t, "a", 1, says("a")), backend(t, "b", 1, says("b"))
	r := newRig(t, steady.Auto, proxy.Limits{}, a)
	r.stop()
	full := fullDisk(t)
	before, err := os.ReadFile(r.options.TableFile)
	if err != nil {
		t.Fatal(err)
	}
	r.options.TableFile = filepath.Join(full, "table.json")
	if err := os.WriteFile(r.options.TableFile, before, 0o600); err != nil {
		t.Fatal(err)
	}
	fillUp(t, full)
	r.start()
	moved := []steady.Upstream{b}
	for i := range 200 { // more than the file has room for
		moved = append(moved, upstreamAt(fmt.Sprint("c", i), 1, b.Addr))
	}
	mended := r.table(steady.Auto, moved...)
	if err := r.client.Serve(t.Context(), mended); !errors.Is(err, steady.ErrStore) {
		t.Errorf("a decision that is not on the disk is in force: %v", err)
	}
	if err := r.client.Mend(t.Context(), mended); err != nil {
		t.Fatal(err)
	}
	if _, body := r.get("/"); body != "b" {
		t.Errorf("answered by %q", body)
	}
	if now, err := os.ReadFile(r.options.TableFile); err != nil || string(now) != string(before) {
		t.Errorf("the table file changed: %q %v", now, err)
	}
	if err := os.Remove(filepath.Join(full, "filler")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the table is in its file", func() bool {
		now, err := os.ReadFile(r.options.TableFile)
		return err == nil && strings.Contains(string(now), "c199")
	})
}

func TestServe_ListenerThatStaysIsNotOpenedAnewAndOneThatGoesDrains(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := c.response(); res.Close {
		t.Error("close without a reason")
	} else {
		res.Body.Read(make([]byte, 10))
		res.Body.Close()
	}
	bound := r.status().Listeners[0].Bound
	r.serve(steady.Auto, u)
	if now := r.status().Listeners[0].Bound; now != bound {
		t.Errorf("port %d became %d", bound, now)
	}
	table := r.table(steady.Auto, u)
	table.Listeners = nil
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := c.response(); !res.Close || res.StatusCode != 200 {
		t.Errorf("%s close=%v", res.Status, res.Close)
	}
}

func TestServe_HostAddressOfAPortCanChange(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	port := freePort(t)
	for _, host := range []string{"", "127.0.0.1", "0.0.0.0", "::1", ""} {
		table := r.table(steady.Auto, u)
		table.Listeners[0].Host, table.Listeners[0].Port = host, port
		if err := r.client.Free(t.Context(), table.Listeners); err != nil {
			t.Fatalf("free on %q: %v", host, err)
		}
		if err := r.client.Serve(t.Context(), table); err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		if host == "" {
			host = "::1"
		}
		r.addr = net.JoinHostPort(host, fmt.Sprint(port))
		if _, body := r.get("/"); body != "a" {
			t.Errorf("%q: %q", host, body)
		}
	}
}

func TestServe_EmptyHostIsBothFamilies(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	table := r.table(steady.Auto, u)
	table.Listeners[0].Host = ""
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	port := r.status().Listeners[0].Bound
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		r.addr = fmt.Sprintf("%s:%d", host, port)
		if _, body := r.get("/"); body != "a" {
			t.Errorf("%s: %q", host, body)
		}
	}
}

func TestTableFile_IsServedAgainAtTheSamePort(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	before, err := r.client.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	if _, err := r.client.Ping(t.Context()); !errors.Is(err, steady.ErrNoProxy) {
		t.Errorf("%v", err)
	}
	r.start()
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
	after, err := r.client.Table(t.Context())
	if d := cmp.Diff(before, after); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestTableFile_GarbageIsSetAsideAndTheProxyStarts(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "garbage": "{\"table\":", "contradiction": `{"table":{"version":3,"listeners":[{"pool":"x"}]}}`} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, steady.Auto, proxy.Limits{})
			r.stop()
			if err := os.WriteFile(r.options.TableFile, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r.start()
			if table, err := r.client.Table(t.Context()); err != nil || table.Version != 0 {
				t.Errorf("%+v %v", table, err)
			}
			if kept, err := os.ReadFile(r.options.TableFile + ".unreadable"); err != nil || string(kept) != content {
				t.Errorf("%q %v", kept, err)
			}
			r.serve(steady.Auto, backend(t, "a", 1, says("a")))
		})
	}
}

func TestTableFile_PortThatIsTakenAtTheStartIsTriedAgain(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	table := r.table(steady.Auto, u)
	table.Listeners[0].Port = freePort(t)
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.addr = table.Listeners[0].Addr()
	ln, err := net.Listen("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	if l := r.status().Listeners[0]; l.Bound != 0 || l.Error == "" {
		t.Errorf("%+v", l)
	}
	ln.Close()
	eventually(t, "it listens", func() bool { return r.status().Listeners[0].Bound != 0 })
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
}

// Killed at any moment, the file holds one table or the other, whole.
func TestTableFile_SurvivesKill(t *testing.T) {
	if os.Getenv("STEADY_TEST_PROXY") != "" {
		runForKill(t)
		return
	}
	dir, err := os.MkdirTemp("", "px")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	u := backend(t, "a", 1, says("a"))
	port := freePort(t)
	var version int64
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTableFile_SurvivesKill$")
		cmd.Env = append(os.Environ(), "STEADY_TEST_PROXY="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c := proxy.NewClient(filepath.Join(dir, "p.sock"))
		eventually(t, "proxy answers", func() bool { pid, _ := c.Ping(t.Context()); return pid == cmd.Process.Pid })
		table, err := c.Table(t.Context())
		if err != nil || table.Version < version {
			t.Fatalf("version %d after %d: %v", table.Version, version, err)
		}
		if version > 0 {
			res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			http.DefaultClient.CloseIdleConnections()
		}
		version = table.Version
		kill := time.AfterFunc(100*time.Millisecond, func() { cmd.Process.Kill() })
		for {
			err := c.Serve(context.Background(), steady.Table{
				Version:   version + 1,
				Listeners: []steady.Listener{{Host: "127.0.0.1", Port: port, Protocol: steady.Auto, Pool: poolName}},
				Pools:     []steady.Pool{{Name: poolName, Upstreams: []steady.Upstream{u}}},
			})
			if errors.Is(err, steady.ErrNoProxy) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			version++
		}
		cmd.Wait()
		kill.Stop()
	}
}

func runForKill(t *testing.T) {
	dir := os.Getenv("STEADY_TEST_PROXY")
	p, err := proxy.New(proxy.Options{Socket: filepath.Join(dir, "p.sock"), TableFile: filepath.Join(dir, "t.json")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return uint16(ln.Addr().(*net.TCPAddr).Port)
}
