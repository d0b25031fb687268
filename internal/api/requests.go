package api

import "gesalpai.ch/steady"

// Bodies of the requests, the same types at both ends. A field that the other
// end does not know is refused: half-understood wishes are worse than none.
type (
	deployRequest struct {
		Specs   []steady.Spec  `json:"specs"`
		Options steady.Options `json:"options"`
	}
	rollbackRequest struct {
		To      int            `json:"to,omitempty"` // 0: the release that served before
		Options steady.Options `json:"options"`
	}
	scaleRequest struct {
		Replicas map[string]int `json:"replicas"`
		Options  steady.Options `json:"options"`
	}
	downRequest struct {
		Volumes bool           `json:"volumes,omitempty"`
		Options steady.Options `json:"options"`
	}
	abortRequest struct {
		Rollout int64 `json:"rollout,omitempty"` // 0: the one that runs
	}
)

// pruneRequest is the body of POST /v1/projects/{project}/prune.
type pruneRequest struct {
	Keep int  `json:"keep"` // images of each service besides the serving release's
	Dry  bool `json:"dry,omitempty"`
}

// releasesAnswer is what GET /v1/projects/{project}/releases says.
type releasesAnswer struct {
	Releases []steady.Release `json:"releases"`
	Serving  map[string]int   `json:"serving"`
}

// withoutSecrets drops what may hold environment values, build arguments, commands or
// addresses:
// nobody who lists releases needs them.
func withoutSecrets(in []steady.Release) []steady.Release {
	out := make([]steady.Release, len(in))
	for i, r := range in {
		r.Spec.Container = nil
		r.Spec.Build = nil
		r.Spec.Hooks, r.Spec.ProjectHooks, r.Spec.Notify = nil, nil, nil
		out[i] = r
	}
	return out
}
