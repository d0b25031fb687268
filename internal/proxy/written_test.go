package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// An answer to an ACME server's challenge has no head of its own.
func TestExchange_AnAnswerWithoutAHeadIsLoggedAs200(t *testing.T) {
	x := &exchange{ResponseWriter: httptest.NewRecorder(), proxy: &Proxy{}, door: &door{}, in: httptest.NewRequest(http.MethodGet, "/", nil), began: time.Now()}
	io.WriteString(x, "token")
	if e := x.entry(false); e.status != http.StatusOK || e.bytes != 5 {
		t.Errorf("status %d, %d bytes", e.status, e.bytes)
	}
}
