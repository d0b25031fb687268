package proxy

import (
	"net/http"
	"time"
)

// resetAfter is how long a broken answer's bytes have to leave before its HTTP/3
// stream is reset: a reset takes back what has not been sent (RFC 9000 3.1).
const resetAfter = 50 * time.Millisecond

// passBroken passes on what has come of an answer that broke off, before its
// connection or stream is ended. A client that has seen the answer's begin does not
// send the request again on its own, as one that saw nothing would: the app has done
// it once already.
func (x *exchange) passBroken() {
	if x.status == 0 || x.broken == nil || x.unsent != nil || x.answer.tunnel.Load() != nil {
		return
	}
	if http.NewResponseController(x.ResponseWriter).Flush() == nil && x.in.ProtoMajor == 3 {
		time.Sleep(resetAfter)
	}
}
