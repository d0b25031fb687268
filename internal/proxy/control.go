package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// maxControlBody bounds what the control socket reads: a table of 10,000 routes
// is some 3 MB.
const maxControlBody = 64 << 20

// drainRequest asks for a drain.
type drainRequest struct {
	IDs    []string     `json:"ids"`
	Clocks steady.Drain `json:"clocks"`
}

// clearRequest asks for what a maintenance found in flight to end.
type clearRequest struct {
	Pools  []string     `json:"pools"`
	Clocks steady.Drain `json:"clocks"`
}

// ping says who answers.
type ping struct {
	PID int `json:"pid"`
}

// control is the handler of the control socket; its other end is Client.
func (p *Proxy) control(life context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ping", func(w http.ResponseWriter, r *http.Request) {
		reply(w, ping{PID: os.Getpid()}, nil)
	})
	mux.HandleFunc("GET /v1/table", func(w http.ResponseWriter, r *http.Request) {
		reply(w, p.inForce(), nil)
	})
	mux.HandleFunc("GET /v1/traffic", func(w http.ResponseWriter, r *http.Request) {
		reply(w, p.counts.read(), nil)
	})
	mux.HandleFunc("GET /v1/flows", func(w http.ResponseWriter, r *http.Request) {
		reply(w, p.flows(r.URL.Query().Get("service")), nil)
	})
	mux.HandleFunc("GET /v1/reading", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		since, _ := time.Parse(time.RFC3339Nano, q.Get("since")) // none: all
		reply(w, p.reading(q.Get("project"), since), nil)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		reply(w, p.status(), nil)
	})
	mux.HandleFunc("GET /v1/certificates", func(w http.ResponseWriter, r *http.Request) {
		reply(w, p.certificateStates(), nil)
	})
	mux.HandleFunc("PUT /v1/table", func(w http.ResponseWriter, r *http.Request) {
		var t steady.Table
		if err := readTable(w, r, &t); err != nil {
			reply(w, nil, err)
			return
		}
		reply(w, struct{}{}, p.serve(life, t, r.URL.Query().Get("mend") != ""))
	})
	mux.HandleFunc("POST /v1/free", func(w http.ResponseWriter, r *http.Request) {
		var listeners []steady.Listener
		if err := read(w, r, &listeners); err != nil {
			reply(w, nil, err)
			return
		}
		reply(w, struct{}{}, p.free(r.Context(), listeners))
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		var ask drainRequest
		if err := read(w, r, &ask); err != nil {
			reply(w, nil, err)
			return
		}
		drained, err := p.drain(r.Context(), ask.IDs, ask.Clocks)
		reply(w, drained, err)
	})
	mux.HandleFunc("POST /v1/hold", func(w http.ResponseWriter, r *http.Request) {
		var services []string
		if err := read(w, r, &services); err != nil {
			reply(w, nil, err)
			return
		}
		reply(w, p.renew(services), nil)
	})
	mux.HandleFunc("POST /v1/clear", func(w http.ResponseWriter, r *http.Request) {
		var ask clearRequest
		if err := read(w, r, &ask); err != nil {
			reply(w, nil, err)
			return
		}
		drained, err := p.clearOut(r.Context(), life, ask.Pools, ask.Clocks)
		reply(w, drained, err)
	})
	return mux
}

func read(w http.ResponseWriter, r *http.Request, into any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody)).Decode(into)
	if err != nil {
		return steady.ErrUsage.With("request to the proxy does not parse: "+err.Error(), "")
	}
	return nil
}

// readTable reads a table, and refuses one that says what this proxy does not know:
// a hold passed over would refuse everybody whom it was to keep waiting. What a
// newer daemon has no use for it leaves out, so the table of a plain service is
// known to every proxy.
func readTable(w http.ResponseWriter, r *http.Request, into *steady.Table) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if _, field, unknown := strings.Cut(err.Error(), "unknown field "); unknown {
		return outdated("it does not know " + field + " of the table")
	}
	return steady.ErrUsage.With("request to the proxy does not parse: "+err.Error(), "")
}

// outdated is a proxy that lacks what is asked of it.
func outdated(what string) error {
	return steady.ErrUnsupported.With("the proxy that runs is older than the daemon: "+what,
		"systemctl restart steady-proxy at a quiet moment; it ends what is in flight")
}

// reply sends the answer, or the error with its code.
func reply(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		answer = steady.AsError(err)
	}
	_ = json.NewEncoder(w).Encode(answer)
}
