package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

func TestHTTP3_AGetWithoutABodyReachesTheAppWithoutOne(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "bare", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, strings.Join(append(r.TransferEncoding, string(b)), " "))
	}))}
	h.secure(s, to("api.test", "/", "api"))
	c := h.to(h.https(s, 3), "api.test")
	for body, want := range map[string]string{"": "", "asked": "chunked asked"} {
		var with io.Reader
		if body != "" {
			with = io.MultiReader(strings.NewReader(body)) // of a length that nobody knows
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+h.addr+"/", with)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "api.test"
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(b) != want {
			t.Errorf("a GET with the body %q arrived as %q, %v", body, b, err)
		}
	}
}
