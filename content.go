package steady

import (
	"path/filepath"
	"slices"
	"strings"
)

// Content is what is known of a file of the host's that a service mounts: under
// volumes, configs or secrets. Its text stays on the host and in no release.
type Content struct {
	Source string `json:"source"`           // absolute path on the host
	Target string `json:"target"`           // path in the container
	As     string `json:"as,omitempty"`     // "config app", "secret key"; empty: a volume
	Sum    string `json:"sum,omitempty"`    // "sha256:…"; empty: not looked at
	Unseen string `json:"unseen,omitempty"` // why not: "a directory"
}

// Name is the file for a person: by its name in the Compose file, or by its path from
// the project's directory where it lies there.
func (c Content) Name(dir string) string {
	if c.As != "" {
		return c.As
	}
	if rel, err := filepath.Rel(dir, c.Source); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return "./" + rel
	}
	return c.Source
}

// Known is now, with the sums of was where the file is the same and cannot be read now.
func Known(was, now []Content) []Content {
	out := slices.Clone(now)
	for i, c := range out {
		at := slices.IndexFunc(was, func(w Content) bool { return w.Target == c.Target && w.Source == c.Source })
		if c.Sum == "" && at >= 0 && was[at].Sum != "" {
			out[i] = was[at]
		}
	}
	return out
}

// Differing lists those of the contents that are known to be others than in was: those
// that both have, and whose sums differ. What one side does not know of, as a release
// made before contents were looked at, is taken to be the same.
func Differing(was, now []Content) []Content {
	var out []Content
	for _, c := range now {
		i := slices.IndexFunc(was, func(w Content) bool { return w.Target == c.Target && w.Source == c.Source })
		if i >= 0 && was[i].Sum != "" && c.Sum != "" && was[i].Sum != c.Sum {
			out = append(out, c)
		}
	}
	return out
}
