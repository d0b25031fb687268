package steady

import (
	"fmt"
	"strings"
)

// Bounds of x-steady.assets: each request that is answered 404 is compared with all.
const (
	MaxAssets     = 32  // patterns of one service
	MaxAssetBytes = 256 // of one pattern
)

// CheckAssets says what makes patterns of assets unusable, nil when nothing does.
// A pattern is a path that begins with a slash, decoded, in which * stands for any
// characters, slashes among them, and for none: "/static/*", "/*.js".
func CheckAssets(patterns []string) error {
	if len(patterns) > MaxAssets {
		return fmt.Errorf("%d patterns of assets, and at most %d are compared", len(patterns), MaxAssets)
	}
	for _, p := range patterns {
		switch {
		case !strings.HasPrefix(p, "/"):
			return fmt.Errorf("%q is no path that starts with /", p)
		case len(p) > MaxAssetBytes:
			return fmt.Errorf("%q is longer than %d bytes", p, MaxAssetBytes)
		case !plainPath(p):
			return fmt.Errorf("%q can match no path: it holds //, a segment . or .., a percent sign, a backslash or a control character", p)
		}
	}
	return nil
}

// IsAsset says whether one of the patterns matches a request's path: escaped as it
// came, and decoded. A path that an app may read as another never does: one with an
// empty or a dot segment, an encoded slash, a backslash, a percent sign that is
// itself encoded, or a control character.
func IsAsset(patterns []string, escaped, decoded string) bool {
	if len(patterns) == 0 || !plainPath(decoded) {
		return false
	}
	if strings.Contains(strings.ToLower(escaped), "%2f") {
		return false
	}
	for _, p := range patterns {
		if starred(p, decoded) {
			return true
		}
	}
	return false
}

// plainPath says whether a decoded path means one thing only.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.ContainsAny(path, `%\`) {
		return false
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(segment, ";") // what servers of Java take for a parameter
		if name == "." || name == ".." {
			return false
		}
	}
	return true
}

// starred says whether text is the pattern, * being any characters. It goes back to
// the last star only, so it takes at most the product of both lengths.
func starred(pattern, text string) bool {
	at, star, from := 0, -1, 0
	i := 0
	for i < len(text) {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, from = at, i
			at++
		case at < len(pattern) && pattern[at] == text[i]:
			at++
			i++
		case star >= 0:
			from++
			at, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[at:], "*") == ""
}
