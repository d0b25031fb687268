package compose

import (
	"slices"
	"strings"
)

// misplaced refuses a setting that there is not, or not here, and names those that
// there are beside it.
func (s section) misplaced(name string) error {
	if within := (section{files: s.files, path: s.path}); !s.knows(name) && within.knows(name) {
		return s.refuse(name, "stands within a service only", "move it to services.SERVICE."+Extension)
	}
	if k, ok := s.list(name); ok {
		return s.refuse(k.Name, "must be a list", k.brief())
	}
	group := ""
	for _, part := range strings.Split(name, ".") {
		deeper := strings.TrimPrefix(group+"."+part, ".")
		if len(s.below(deeper)) == 0 {
			break
		}
		group = deeper
	}
	hint := "known keys: " + strings.Join(s.below(group), ", ")
	if group == name {
		return s.refuse(name, "must be a mapping", hint)
	}
	return s.refuse(name, "unknown key", hint)
}

// knows says whether the section may hold the setting, or settings below it.
func (s section) knows(name string) bool {
	_, ok := s.find(name)
	return ok || len(s.below(name)) > 0
}

// list finds the setting that wants a list where a mapping is.
func (s section) list(name string) (Key, bool) {
	k, ok := s.find(before(name, "."))
	return k, ok && strings.HasPrefix(k.Type, "list")
}

// below names the settings right below a group, and the groups; those of the
// section itself for no group.
func (s section) below(group string) []string {
	var out []string
	for _, known := range s.known() {
		rest, ok := strings.CutPrefix(known, group+".")
		if group == "" {
			rest, ok = known, true
		}
		if ok {
			out = append(out, strings.TrimPrefix(group+"."+before(rest, "."), "."))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// brief is the first sentence of what the key is.
func (k Key) brief() string {
	first, _, _ := strings.Cut(k.Doc, ". ")
	return strings.TrimSuffix(first, ".")
}
