package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"gesalpai.ch/steady"
)

// TestKill_ClientsOverTLSWaitAndThoseOfHTTP3AreToldAtOnce kills a proxy whose
// listener's copies are kept: who connects meanwhile is served by the next one,
// and an HTTP/3 connection of the dead one does not keep its client waiting.
func TestKill_ClientsOverTLSWaitAndThoseOfHTTP3AreToldAtOnce(t *testing.T) {
	k := newKeeper(t)
	k.start()
	s, addr := newSite(t, "api.test"), freeAddr(t)
	host, port, _ := steady.HostPort(addr)
	err := k.client.Serve(t.Context(), steady.Table{Version: 1,
		Listeners:    []steady.Listener{{Host: host, Port: port, Protocol: steady.HTTP, TLS: true, Rules: []steady.Match{to("api.test", "/", "api")}}},
		Pools:        []steady.Pool{{Name: "shop/api:80", Upstreams: []steady.Upstream{backend(t, "api", 1, named("api"))}}},
		Certificates: []steady.Certificate{{Host: "api.test", TLS: s.TLS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.copy()
	conf := &tls.Config{RootCAs: s.pool, ServerName: "api.test"}
	tr := &http3.Transport{TLSClientConfig: conf}
	defer tr.Close()
	three := func() error {
		req, err := http.NewRequest(http.MethodPost, "https://"+addr+"/", nil)
		if err != nil {
			return err
		}
		req.Host = "api.test"
		res, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := three(); err != nil {
		t.Fatal(err)
	}
	k.kill()
	waited := make(chan error, 1)
	go func() { // while there is no proxy
		c, err := tls.Dial("tcp", addr, conf)
		if err == nil {
			defer c.Close()
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
			_, err = http.ReadResponse(bufio.NewReader(c), nil)
		}
		waited <- err
	}()
	k.start()
	if err := <-waited; err != nil {
		t.Errorf("a client that came while there was no proxy: %v", err)
	}
	began := time.Now()
	if err := three(); err != nil { // of the connection to the dead one
		if err := three(); err != nil {
			t.Errorf("HTTP/3 afterwards: %v", err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the client of the dead proxy's connection was told after %s", took)
	}
}
