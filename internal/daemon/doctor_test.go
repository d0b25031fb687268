package daemon

import (
	"testing"

	"gesalpai.ch/steady/internal/doctor"
	"gesalpai.ch/steady/internal/proxy"
)

// The doctor knows no proxy: what it says about idle connections must be true of
// this one.
func TestDoctor_KnowsTheProxysIdleTimeout(t *testing.T) {
	if doctor.ProxyIdle() != proxy.DefaultIdleTimeout {
		t.Errorf("the doctor believes %s, the proxy keeps idle connections for %s", doctor.ProxyIdle(), proxy.DefaultIdleTimeout)
	}
}
