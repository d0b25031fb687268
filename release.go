package steady

import (
	"fmt"
	"time"
)

// Release is one service's spec with the image it resolved to: numbered, whole
// and immutable. Numbers grow per project; one rollout gives all services it
// changes the same number.
type Release struct {
	Project string    `json:"project"`
	Service string    `json:"service"`
	Number  int       `json:"number"`
	Spec    Spec      `json:"spec"`
	Digest  string    `json:"digest"`          // Spec.Digest()
	Image   Image     `json:"image"`           // zero until pulled or built
	Created time.Time `json:"created"`         // UTC
	Served  time.Time `json:"served,omitzero"` // when a rollout to it was last done; zero: never
	Done    time.Time `json:"done,omitzero"`   // when it had run to its end, where Spec.Once; zero: it has not
	Rollout int64     `json:"rollout"`         // the rollout that made it

	ImageGone bool `json:"image_gone,omitempty"` // the Engine has its image no more; known where releases are listed
}

// Ref names the release for a person: "shop/api release 42".
func (r Release) Ref() string {
	return fmt.Sprintf("%s/%s release %d", r.Project, r.Service, r.Number)
}

// ReplicaName is the deterministic container name of the release's n-th replica,
// counted from 1: "shop-api-42-1". A crash between create and journal is mended
// by it: create means create or adopt.
func (r Release) ReplicaName(n int) string {
	return fmt.Sprintf("%s-%s-%d-%d", r.Project, r.Service, r.Number, n)
}

// Same says whether both releases would run the same containers: by their specs, their
// images, and the contents of the files that they mount.
func (r Release) Same(o Release) bool {
	return r.Image.ID == o.Image.ID && r.alike(o) && len(Differing(r.Spec.Contents, o.Spec.Contents)) == 0
}

// alike compares specs. The cause of a probe is a sentence for people, whose words an
// older steady may have chosen otherwise.
func (r Release) alike(o Release) bool {
	if r.Digest == o.Digest {
		return true
	}
	r.Spec.Probe.Cause, o.Spec.Probe.Cause = "", ""
	return r.Spec.Digest() == o.Spec.Digest()
}

// Image is an image as the Engine has it.
type Image struct {
	Ref    string `json:"ref,omitempty"`
	ID     string `json:"id,omitempty"`     // "sha256:…" of its config
	Digest string `json:"digest,omitempty"` // repository digest, "name@sha256:…"; empty for what was built here

	Built time.Time `json:"built,omitzero"` // when, by whoever built it; zero: not known

	// Volumes are the paths that it declares (VOLUME), sorted. The store does not keep
	// them: they are known of images that the Engine was asked about.
	Volumes []string `json:"volumes,omitempty"`
}
