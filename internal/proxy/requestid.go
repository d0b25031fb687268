package proxy

import (
	"math/rand/v2"
	"net/http"
)

// requestID is the X-Request-Id by which the app's log and ours mean the same
// request: the client's own, or one that is made here, to be passed to the app. 128
// random bits, so that no two proxies make the same.
func requestID(in *http.Request) string {
	if ids := in.Header["X-Request-Id"]; len(ids) > 0 && ids[0] != "" {
		return ids[0]
	}
	var b [32]byte
	for i, n := range [2]uint64{rand.Uint64(), rand.Uint64()} {
		for j := range 16 {
			b[16*i+j] = hexDigits[n&15]
			n >>= 4
		}
	}
	return string(b[:])
}
