package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRig_SaysByItsStatusWhetherSomethingWasLost(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
		lost   string
	}{
		"echo": {echo, 0, " 0 lost"},
		"503":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 1, "status 503"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.answer)
			defer srv.Close()
			var out, diag bytes.Buffer
			args := []string{"-url", srv.URL, "-duration", "1500ms", "-rate", "50", "-ws", "-1", "-sse", "-1"}
			if got := run(t.Context(), args, &out, &diag); got != c.status || !strings.Contains(out.String(), c.lost) {
				t.Errorf("status %d, want %d\n%s%s", got, c.status, &out, &diag)
			}
			out.Reset()
			run(t.Context(), append(args, "-json"), &out, &diag)
			var r struct{ Sent, Lost int }
			if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Sent == 0 || (r.Lost > 0) != (c.status == 1) {
				t.Errorf("json: %v\n%s", err, &out)
			}
		})
	}
}

func TestRig_RefusesWhatItCannotLoad(t *testing.T) {
	for _, args := range [][]string{{}, {"-url", "ftp://x"}, {"-url", "http://x", "more"}, {"-no-such"}} {
		var out, diag bytes.Buffer
		if got := run(t.Context(), args, &out, &diag); got != 2 || diag.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, got, &out, &diag)
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Write(body)
}
