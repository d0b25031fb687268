package compose

import (
	"fmt"

	"gesalpai.ch/steady"
)

// assetKeys are the settings of what the release before is still asked for.
func assetKeys() []Key {
	return []Key{{
		Name: "assets", Type: "list of paths", Default: "none", parse: assets,
		Doc: "Paths, such as /static/*, of files whose names change with each release. While the old replicas still run, in the watch window (monitor) or kept warm, a GET or HEAD of such a path that the new release answers with 404 is sent to them, so that a page loaded before the shift still finds its files. * matches any characters, slashes too. A path with an empty or a dot segment, an encoded slash or a backslash is never sent.",
	}}
}

// assets reads one path, or a list of them.
func assets(v any) (any, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, one := range list {
		s, ok := one.(string)
		if !ok {
			return nil, fmt.Errorf("%v is no path", one)
		}
		out = append(out, s)
	}
	return out, steady.CheckAssets(out)
}
