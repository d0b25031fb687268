package steady

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Ingress says which requests may reach a service, and what the proxy passes on with
// them. The zero value is the default of everything.
type Ingress struct {
	Underscores bool           `json:"underscores,omitempty"` // header names with underscores are passed on
	Upgrades    []string       `json:"upgrades,omitempty"`    // protocols that may be switched to besides DefaultUpgrades, lower case
	Trusted     []netip.Prefix `json:"trusted,omitempty"`     // whose X-Forwarded-For and the like are believed; empty: see TrustedProxies

	// HTTPPorts are the ports in the container that the release's probe asks over plain
	// HTTP: the app is known to speak HTTP there.
	HTTPPorts []uint16 `json:"http_ports,omitempty"`
}

// TrustedProxies is what Trusted is where the files say nothing.
const TrustedProxies = "loopback and private networks without TLS, nobody with TLS"

// DefaultUpgrades are the protocols that any service may be asked to switch to with
// Upgrade: WebSocket, those of the Engine's and Kubernetes' attach and exec, and
// Tailscale's. None of them carries HTTP requests that the proxy would not see.
var DefaultUpgrades = []string{"websocket", "tcp", "spdy/3.1", "derp", "tailscale-control-protocol"}

// CheckUpgrade says why a protocol must not be switched to: HTTP in another form,
// which would carry requests past the proxy, or a word that is no protocol.
func CheckUpgrade(protocol string) error {
	name, _, _ := strings.Cut(strings.ToLower(protocol), "/")
	switch {
	case name == "" || strings.ContainsFunc(protocol, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' || r == '"' }):
		return fmt.Errorf("%q is no protocol", protocol)
	case slices.Contains([]string{"h2c", "h2", "h3", "http", "https", "tls", "ssl"}, name):
		return fmt.Errorf("%s would carry requests that the proxy does not see", protocol)
	}
	return nil
}

// Switches says whether a connection may be switched to a protocol. Nil is the
// default.
func (i *Ingress) Switches(protocol string) bool {
	protocol = strings.ToLower(protocol)
	return CheckUpgrade(protocol) == nil &&
		(slices.Contains(DefaultUpgrades, protocol) || i != nil && slices.Contains(i.Upgrades, protocol))
}

// Entry is the ingress of a release: what the files say, and where its probe asks
// over HTTP.
func (s Spec) Entry() *Ingress {
	if s.Probe.Kind != ProbeHTTP || s.Probe.Scheme == "https" || s.Probe.Port == 0 {
		return s.Ingress
	}
	var out Ingress
	if s.Ingress != nil {
		out = *s.Ingress
	}
	out.HTTPPorts = []uint16{s.Probe.Port}
	return &out
}
