package steady

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// ReleaseRepository holds the tags that keep the images of releases: docker image prune
// leaves what has a tag.
const ReleaseRepository = "steady/release"

// longestTag is what a tag may have at most, in bytes (distribution's reference).
const longestTag = 128

// ImageTag is the reference under which steady keeps the release's image,
// "steady/release:shop.api.42". No project has a dot in its name, so no two releases
// have the same one.
func (r Release) ImageTag() string {
	service := r.Service
	if len(r.Project)+len(service)+len(fmt.Sprint(r.Number))+2 > longestTag {
		sum := sha256.Sum256([]byte(r.Project + "/" + service))
		return fmt.Sprintf("%s%.40s.%s.%d", ReleaseTags(r.Project), service, hex.EncodeToString(sum[:6]), r.Number)
	}
	return fmt.Sprintf("%s%s.%d", ReleaseTags(r.Project), service, r.Number)
}

// ReleaseTags is what the tags of a project's releases begin with.
func ReleaseTags(project string) string { return ReleaseRepository + ":" + project + "." }

// KeptImage is an image that steady keeps by a tag.
type KeptImage struct {
	Tag   string `json:"tag"`
	Image string `json:"image"` // its ID
}

// PrunedImage is an image that is not kept any more.
type PrunedImage struct {
	KeptImage
	Service string `json:"service,omitempty"` // of the release; empty where the store does not know it any more
	Release int    `json:"release,omitempty"`
	Removed bool   `json:"removed"` // nothing else uses it, so it is gone from the Engine
}

// DefaultKeptImages is how many images of earlier releases a prune keeps for each service.
const DefaultKeptImages = 5
