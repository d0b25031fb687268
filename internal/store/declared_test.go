package store_test

import (
	"slices"
	"testing"
)

func TestDeclared_AreThoseOfTheLastDeploy(t *testing.T) {
	s, ctx := opened(t), t.Context()
	if got, err := s.Declared(ctx, "shop"); err != nil || got != nil {
		t.Errorf("before a deploy: %v, %v", got, err)
	}
	try(t, s.PutDeclared(ctx, "shop", []string{"api", "web"}))
	try(t, s.PutDeclared(ctx, "blog", []string{"blog"}))
	try(t, s.PutDeclared(ctx, "shop", []string{"api"}))
	if got, err := s.Declared(ctx, "shop"); err != nil || !slices.Equal(got, []string{"api"}) {
		t.Errorf("%v, %v", got, err)
	}
}
