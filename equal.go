package steady

import (
	"reflect"
)

// Equal reports whether a and b, of one type, hold the same values in every field. A
// nil slice or map equals an empty one, as both are stored alike, and a value with a
// method Equal, such as a time, is asked. It compares all that decides whether a change
// takes effect, so that no field of a route or pool can be forgotten.
func Equal[T any](a, b T) bool {
	return equal(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem())
}

func equal(a, b reflect.Value) bool {
	if same, ok := byMethod(a, b); ok {
		return same
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && equal(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		return equalMaps(a, b)
	default:
		return a.Equal(b)
	}
}

func equalMaps(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for _, key := range a.MapKeys() {
		if other := b.MapIndex(key); !other.IsValid() || !equal(a.MapIndex(key), other) {
			return false
		}
	}
	return true
}

// byMethod asks the value's own method Equal; not ok: it has none.
func byMethod(a, b reflect.Value) (same, ok bool) {
	if a.Kind() != reflect.Struct || !a.CanInterface() {
		return false, false
	}
	m := a.MethodByName("Equal")
	if !m.IsValid() || m.Type().NumIn() != 1 || m.Type().In(0) != b.Type() || m.Type().NumOut() != 1 || m.Type().Out(0).Kind() != reflect.Bool {
		return false, false
	}
	return m.Call([]reflect.Value{b})[0].Bool(), true
}
