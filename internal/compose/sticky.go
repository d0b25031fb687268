package compose

import (
	"time"

	"gesalpai.ch/steady"
)

// stickyOf is how clients are kept; nil where they are not. What the service says
// of it goes before what the top of the file says.
func stickyOf(own settings) *steady.Sticky {
	if !wantsSticky(own) {
		return nil
	}
	return &steady.Sticky{
		Cookie: setting(own, "sticky.cookie", steady.DefaultStickyCookie),
		TTL:    setting(own, "sticky.ttl", time.Duration(0)),
	}
}

func wantsSticky(own settings) bool {
	for _, at := range []map[string]any{own.service, own.project} {
		if on, said := at["sticky"].(bool); said {
			return on
		}
		_, cookie := at["sticky.cookie"]
		_, ttl := at["sticky.ttl"]
		if cookie || ttl {
			return true
		}
	}
	return false
}
