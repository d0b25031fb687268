package steady_test

import (
	"reflect"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// TestEqual_EveryFieldCounts: a table, a listener, a pool or a route that differs in
// one field alone is another, whatever fields there come to be.
func TestEqual_EveryFieldCounts(t *testing.T) {
	everyFieldCounts(t, steady.Table{})
	everyFieldCounts(t, steady.Listener{})
	everyFieldCounts(t, steady.Pool{})
	everyFieldCounts(t, steady.Upstream{})
	everyFieldCounts(t, steady.Route{})
	everyFieldCounts(t, steady.Ingress{})
	everyFieldCounts(t, steady.Maintenance{})
}

func everyFieldCounts[T any](t *testing.T, zero T) {
	t.Helper()
	kind := reflect.TypeFor[T]()
	for i := range kind.NumField() {
		changed := zero
		if !fill(reflect.ValueOf(&changed).Elem().Field(i)) {
			t.Errorf("%s.%s: the test has no value for a %s", kind, kind.Field(i).Name, kind.Field(i).Type)
		}
		if steady.Equal(zero, changed) {
			t.Errorf("%s.%s does not count", kind, kind.Field(i).Name)
		}
		if !steady.Equal(changed, changed) {
			t.Errorf("%s.%s differs from itself", kind, kind.Field(i).Name)
		}
	}
}

// fill gives v a value that is not its zero.
func fill(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint16:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return true
		}
		return v.NumField() > 0 && fill(v.Field(0))
	default:
		return false
	}
	return true
}

func TestEqual_WhatIsStoredAlikeIsEqual(t *testing.T) {
	at := time.Now()
	for name, pair := range map[string][2]any{
		"no slice and an empty one": {steady.Route{}, steady.Route{Replicas: []string{}}},
		"no map and an empty one":   {steady.Listener{}, steady.Listener{Arrivals: map[string]string{}}},
		"a time in two zones":       {at.Round(0).UTC(), at},
	} {
		if !steady.Equal(pair[0], pair[1]) {
			t.Errorf("%s are not equal", name)
		}
	}
	if steady.Equal(&steady.Sticky{}, nil) {
		t.Error("a pointer equals none")
	}
}
