package compose

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

const keyEphemeral = "ephemeral_volumes"

func ephemeralKeys() []Key {
	return []Key{{
		Name: keyEphemeral, Type: "true | false | list of paths", Default: "false", ServiceOnly: true, parse: ephemeral,
		Doc: "Anonymous volumes (VOLUME in the image, or an entry of volumes without a source) that hold nothing to keep, such as a cache: all of them, or those at these paths in the container. Each replica gets new ones, which are removed with it, and old and new can run side by side. Other anonymous volumes are carried over from release to release.",
	}}
}

// ephemeral reads a switch, one path or a list of them.
func ephemeral(v any) (any, error) {
	switch all := v.(type) {
	case bool:
		if !all {
			return []string(nil), nil
		}
		return []string{steady.EphemeralAll}, nil
	case string:
		v = []any{all}
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%v is neither true, false nor a list of paths", v)
	}
	out := make([]string, 0, len(list))
	for _, one := range list {
		s, ok := one.(string)
		if !ok || !strings.HasPrefix(s, "/") {
			return nil, fmt.Errorf("%v is no absolute path in the container", one)
		}
		out = append(out, filepath.Clean(s))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// ephemeralOf refuses a path at which the file mounts something with a name: that is
// never removed.
func ephemeralOf(model *types.Project, s types.ServiceConfig, own settings) ([]string, error) {
	paths := setting[[]string](own, keyEphemeral, nil)
	for _, v := range s.Volumes {
		if v.Source == "" || !slices.Contains(paths, filepath.Clean(v.Target)) {
			continue
		}
		within := section{files: model.ComposeFiles, path: []string{"services", s.Name, Extension}}
		return nil, within.refuse(keyEphemeral, fmt.Sprintf("%s is no anonymous volume: the file mounts %s there", filepath.Clean(v.Target), v.Source),
			"take the path out of "+keyEphemeral)
	}
	return paths, nil
}
