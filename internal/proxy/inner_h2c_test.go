package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

// h2c is HTTP/2 without TLS, as gRPC speaks it within a project.
func h2c() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

// rpc answers as a gRPC server does: the message back, and how it went in trailers.
func rpc(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", name, b)
		w.(http.Flusher).Flush()
		w.Header().Set("Grpc-Status", "0")
	})
}

// A gRPC client keeps one connection for all its calls. Each call is shifted by
// itself, so that no release keeps a client for ever.
func TestInner_CallsOfOneHTTP2ConnectionAreShiftedOneByOne(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for n := 1; n <= 2; n++ {
		serveAt(t, n, 50051, &http.Server{Handler: rpc(fmt.Sprint("replica ", n)), Protocols: h2c()})
	}
	r := newInnerRig(t, replica(1))
	tr := &http.Transport{Protocols: h2c()}
	defer tr.CloseIdleConnections()
	call := func(want string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+in(50051)+"/svc/Method", strings.NewReader("ping"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Te", "trailers")
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if string(b) != want+" ping" || err != nil || res.ProtoMajor != 2 || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%q over %s, trailers %v, %v; want %q", b, res.Proto, res.Trailer, err, want)
		}
	}
	for i := range 10 {
		n := i%2 + 1
		r.serve(replica(n))
		for range 5 {
			call(fmt.Sprint("replica ", n))
		}
	}
	if d, err := r.client.Drain(t.Context(), []string{replica(1).ID}, steady.Drain{}); err != nil || d.Cut > 0 || d.StreamsCut > 0 {
		t.Errorf("drain: %+v, %v", d, err)
	}
	if got := r.status().Connections; got != 1 {
		t.Errorf("the client has %d connections", got)
	}
}
