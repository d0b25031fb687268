package steady

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// DefaultStickyCookie names the cookie where x-steady does not.
const DefaultStickyCookie = "steady"

// Sticky keeps a client at one replica of a service by a cookie, as long as that
// replica takes traffic.
type Sticky struct {
	Cookie string        `json:"cookie"`        // its name
	TTL    time.Duration `json:"ttl,omitempty"` // from when it is set; 0: until the browser ends
}

// StickyToken is the cookie's value for a container. It tells nothing of the
// container to who does not know its ID.
func StickyToken(id string) string {
	sum := sha256.Sum256([]byte("steady sticky\x00" + id))
	return hex.EncodeToString(sum[:8])
}

// IsCookieName says whether a cookie may bear that name (RFC 6265: a token). One
// with a prefix that browsers give a meaning is refused, as it may not be kept.
func IsCookieName(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	if s == "" || len(s) > 64 || strings.HasPrefix(s, "__") {
		return false
	}
	for _, c := range s {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune(others, c) {
			return false
		}
	}
	return true
}
