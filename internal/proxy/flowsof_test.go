package proxy_test

import (
	"net/http"
	"testing"

	"gesalpai.ch/steady/internal/proxy"

	"gesalpai.ch/steady"
)

func TestFlowsOf_TellsOfOneServiceOnly(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "api-1", 1, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	if got, _ := r.get("/"); got != http.StatusOK {
		t.Fatalf("answered %d", got)
	}
	for service, want := range map[string]int{"shop/api": 1, "shop/web": 0} {
		f, err := r.client.FlowsOf(t.Context(), service)
		if err != nil || len(f) != want || f[1].Routed != (want == 1) {
			t.Errorf("%s: %+v, %v: want %d releases", service, f, err, want)
		}
	}
}
