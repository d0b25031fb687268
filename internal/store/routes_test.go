package store_test

import (
	"testing"

	"gesalpai.ch/steady"
	"github.com/google/go-cmp/cmp"
)

func TestRoutes_NameTheServingRelease(t *testing.T) {
	s, ctx := opened(t), t.Context()
	accepted(t, s, "shop", "api", "worker")
	accepted(t, s, "shop", "api")
	ports := []steady.Port{{Published: 8000, Target: 8000, Transport: "tcp", Protocol: steady.Auto}}
	api := steady.Route{Project: "shop", Service: "api", Release: 2, Replicas: []string{"shop-api-2-1"}, Ports: ports,
		Rules: []steady.Rule{{Host: "a.test", Path: "/v1", Port: 8000, HTTP: ":80", HTTPS: ":443", TLS: steady.TLS{CA: steady.DefaultCA}}}}
	worker := steady.Route{Project: "shop", Service: "worker", Release: 1, Replicas: []string{"shop-worker-1-1"}}
	blog := steady.Route{Project: "blog", Service: "api", Release: 9}
	try(t, s.PutRoutes(ctx, []steady.Route{api, worker, blog}))

	routes, err := s.Routes(ctx, "shop")
	try(t, err)
	if diff := cmp.Diff([]steady.Route{api, worker}, routes); diff != "" {
		t.Error(diff)
	}
	serving, err := s.Serving(ctx, "shop")
	try(t, err)
	if len(serving) != 2 || serving["api"].Number != 2 || serving["worker"].Number != 1 {
		t.Errorf("serving %v", serving)
	}
	releases, numbers, err := s.Releases(ctx, "shop")
	try(t, err)
	if diff := cmp.Diff(map[string]int{"api": 2, "worker": 1}, numbers); diff != "" {
		t.Error(diff)
	}
	if len(releases) != 3 || releases[0].Number != 2 || releases[1].Service != "api" {
		t.Errorf("releases not newest first: %v", releases)
	}
	if all, err := s.Routes(ctx, ""); err != nil || len(all) != 3 {
		t.Errorf("%d routes in all, %v; want 3", len(all), err)
	}

	api.Release = 1 // back
	try(t, s.PutRoutes(ctx, []steady.Route{api}))
	if serving, err := s.Serving(ctx, "shop"); err != nil || serving["api"].Number != 1 {
		t.Errorf("serving %d after the way back, %v", serving["api"].Number, err)
	}
}

func TestPutRoutes_GoneEndsServingAndKeepsReleases(t *testing.T) {
	s, ctx := opened(t), t.Context()
	accepted(t, s, "shop", "api")
	try(t, s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Release: 1}}))
	try(t, s.PutRoutes(ctx, []steady.Route{{Project: "shop", Service: "api", Gone: true}}))
	releases, serving, err := s.Releases(ctx, "shop")
	try(t, err)
	if len(serving) != 0 || len(releases) != 1 {
		t.Errorf("serving %v, %d releases; want none and 1", serving, len(releases))
	}
}
