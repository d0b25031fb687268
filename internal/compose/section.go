package compose

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// section is one x-steady section of the files.
type section struct {
	files []string
	path  []string // from the top of the file
	top   bool
}

// parse flattens the section and reads each value by its key.
func (s section) parse(raw any) (map[string]any, error) {
	out := map[string]any{}
	if raw == nil {
		return out, nil
	}
	flat := map[string]any{}
	if err := s.flatten("", raw, flat); err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(flat) {
		key, ok := s.find(name)
		if !ok {
			return nil, s.misplaced(name)
		}
		v, err := key.parse(flat[name])
		if err != nil {
			return nil, s.refuse(name, err.Error(), key.brief())
		}
		if name == "order" {
			name = "strategy"
		}
		if _, twice := out[name]; twice {
			return nil, s.refuse("order", "strategy is set too, and is the same thing", "keep one of them")
		}
		out[name] = v
	}
	return out, nil
}

// flatten joins nested keys with dots.
func (s section) flatten(prefix string, raw any, out map[string]any) error {
	m, ok := raw.(map[string]any)
	if !ok {
		if prefix == "" {
			return s.refuse("", "must be a mapping", "known keys: "+strings.Join(s.below(""), ", "))
		}
		out[prefix] = raw
		return nil
	}
	for k, v := range m {
		name := k
		if prefix != "" {
			name = prefix + "." + k
		}
		if err := s.flatten(name, v, out); err != nil {
			return err
		}
	}
	return nil
}

func (s section) find(name string) (Key, bool) {
	parts := strings.Split(name, ".")
	if len(parts) == 3 && parts[0] == "ports" {
		if _, err := port(parts[1]); err == nil {
			parts[1] = "{target}"
		}
	}
	name = strings.Join(parts, ".")
	for _, k := range Keys() {
		if k.Name == name && !(s.top && k.ServiceOnly) && !strings.Contains(name, "[]") {
			return k, true
		}
	}
	return Key{}, false
}

func (s section) known() []string {
	var out []string
	for _, k := range Keys() {
		if !(s.top && k.ServiceOnly) && !strings.Contains(k.Name, "[]") {
			out = append(out, k.Name)
		}
	}
	return out
}

// refuse names the place in the files where it can be found.
func (s section) refuse(key, what, hint string) error {
	steps := slices.Clone(s.path)
	if key != "" {
		steps = append(steps, strings.Split(key, ".")...)
	}
	return steady.ErrCompose.With(prefixed(s.files, steps...)+strings.Join(steps, ".")+": "+what, hint)
}

func choice(allowed ...string) func(any) (any, error) {
	return func(v any) (any, error) {
		if s, ok := v.(string); ok && slices.Contains(allowed, s) {
			return s, nil
		}
		return nil, fmt.Errorf("%v is none of %s", v, strings.Join(allowed, ", "))
	}
}

// held reads whether a holder has the service's names: empty, or InternalOff. To YAML
// on and off may be booleans.
func held(v any) (any, error) {
	switch v {
	case "auto", "on", true:
		return "", nil
	case steady.InternalOff, false:
		return steady.InternalOff, nil
	}
	return nil, fmt.Errorf("%v is none of auto, on, off", v)
}

func reach(v any) (any, error) {
	switch v {
	case "on", true:
		return "", nil
	case steady.ReachOff, false:
		return steady.ReachOff, nil
	}
	return nil, fmt.Errorf("%v is neither on nor off", v)
}

func boolean(v any) (any, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return nil, fmt.Errorf("%v is neither true nor false", v)
}

func cookie(v any) (any, error) {
	if s, ok := v.(string); ok && steady.IsCookieName(s) {
		return s, nil
	}
	return nil, fmt.Errorf("%v is no name for a cookie", v)
}

func duration(v any) (any, error) {
	s := fmt.Sprint(v)
	if s == "forever" {
		return Forever, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return nil, fmt.Errorf("%s is no duration such as 30s, 5m or forever", s)
	}
	return d, nil
}

// quiet is a duration as steady.Drain.Quiet has it, where 0 stands for the default.
func quiet(v any) (any, error) {
	d, err := duration(v)
	switch {
	case err != nil || d == Forever:
		return nil, fmt.Errorf("%v is no duration such as 2s or 500ms", v)
	case d == time.Duration(0):
		return time.Duration(-1), nil
	}
	return d, nil
}

func count(v any) (any, error) {
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil || n < 1 || n > math.MaxInt16 {
		return nil, fmt.Errorf("%v is no number from 1", v)
	}
	return n, nil
}

func port(v any) (any, error) {
	n, err := strconv.ParseUint(fmt.Sprint(v), 10, 16)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("%v is no port", v)
	}
	return uint16(n), nil
}

func path(v any) (any, error) {
	if s, ok := v.(string); ok && strings.HasPrefix(s, "/") {
		return s, nil
	}
	return nil, fmt.Errorf("%v is no path that starts with /", v)
}
