package docker

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// recorder is an Engine of some API version in which a service's two networks are
// there and movable, and which keeps what it was asked to do.
type recorder struct {
	version string

	mu      sync.Mutex
	created container.CreateRequest
	joined  []string // networks, by connect
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Api-Version", r.version)
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	_, path, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	switch {
	case strings.HasSuffix(path, "/connect"):
		r.joined = append(r.joined, strings.Split(path, "/")[1])
	case strings.HasPrefix(path, "networks/"):
		answer(map[string]any{"Id": "id", "Name": strings.TrimPrefix(path, "networks/"), "Labels": map[string]string{labelSubnet: subnetDeclared}})
	case strings.HasPrefix(path, "images/"):
		answer(map[string]any{"Id": "sha256:1"})
	case path == "containers/create":
		_ = json.NewDecoder(req.Body).Decode(&r.created)
		w.WriteHeader(http.StatusCreated)
		answer(map[string]any{"Id": "c1"})
	case strings.HasPrefix(path, "containers/") && r.created.Config != nil:
		answer(map[string]any{"Id": "c1", "Name": "/c1", "State": map[string]any{"Status": "created"}, "HostConfig": map[string]any{}, "Config": r.created.Config})
	case strings.HasPrefix(path, "containers/"):
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]any{"message": "No such container: c1"})
	}
}

func TestCreate_JoinsTheNetworksAsTheEnginesAPIAllows(t *testing.T) {
	for version, want := range map[string]struct{ inCall, after []string }{
		"1.41": {inCall: []string{"shop_default"}, after: []string{"shop_back"}},
		"1.44": {inCall: []string{"shop_back", "shop_default"}},
		"1.99": {inCall: []string{"shop_back", "shop_default"}},
	} {
		spec := runtimetest.Spec("shop", "api", "shop:1")
		spec.Networks = append(spec.Networks, steady.Network{Key: "back", Name: "shop_back", Aliases: []string{"api"},
			Endpoint: json.RawMessage(`{"Aliases":["api"],"DriverOpts":{"a":"b"}}`)})
		r := &recorder{version: version}
		srv := httptest.NewServer(r)
		e, err := New(Options{Host: "tcp" + strings.TrimPrefix(srv.URL, "http")})
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Create(t.Context(), steady.Release{Project: "shop", Service: "api", Number: 1, Spec: spec, Image: steady.Image{ID: "sha256:1"}}, 1, 1)
		e.Close()
		srv.Close()
		if err != nil {
			t.Fatalf("API %s: %v", version, err)
		}
		var in []string
		for name, ep := range r.created.NetworkingConfig.EndpointsConfig {
			in = append(in, name)
			if len(ep.Aliases) > 0 {
				t.Errorf("API %s: names %v in %s", version, ep.Aliases, name)
			}
		}
		slices.Sort(in)
		if !slices.Equal(in, want.inCall) || !slices.Equal(r.joined, want.after) {
			t.Errorf("API %s: networks %v in the call and %v after it, want %v and %v", version, in, r.joined, want.inCall, want.after)
		}
	}
}
