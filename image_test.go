package steady_test

import (
	"strings"
	"testing"

	"github.com/distribution/reference"

	"gesalpai.ch/steady"
)

// No two releases share a tag, whatever their services are called, and each is a
// reference that an Engine takes.
func TestRelease_ImageTagIsItsOwn(t *testing.T) {
	long := strings.Repeat("long-name.", 12)
	seen := map[string]steady.Release{}
	for _, r := range []steady.Release{
		{Project: "shop", Service: "api", Number: 42}, {Project: "shop", Service: "api", Number: 4}, {Project: "shop", Service: "api.4", Number: 2},
		{Project: "shop-api", Service: "1", Number: 1}, {Project: "shop", Service: "api-1", Number: 1}, {Project: "a___b-", Service: "_Web.", Number: 1},
		{Project: "shop", Service: long + "a", Number: 1}, {Project: "shop", Service: long + "b", Number: 1}, {Project: "shop", Service: long + "b", Number: 12345},
	} {
		tag := r.ImageTag()
		if other, twice := seen[tag]; twice {
			t.Errorf("%s is the tag of %s and of %s", tag, r.Ref(), other.Ref())
		}
		seen[tag] = r
		if _, err := reference.ParseNormalizedNamed(tag); err != nil || !strings.HasPrefix(tag, steady.ReleaseTags(r.Project)) {
			t.Errorf("%s: %v", tag, err)
		}
	}
}
