package steady_test

import (
	"testing"

	"gesalpai.ch/steady"
)

func TestIngress_HTTPInAnotherFormIsNeverSwitchedTo(t *testing.T) {
	all := &steady.Ingress{Upgrades: []string{"h2c", "http/2.0", "own"}}
	for protocol, want := range map[string][2]bool{ // by default, and with all
		"websocket": {true, true}, "WebSocket": {true, true}, "tcp": {true, true}, "spdy/3.1": {true, true}, "own": {false, true},
		"h2c": {}, "H2C": {}, "h2": {}, "HTTP/2.0": {}, "http/1.1": {}, "TLS/1.2": {}, "": {}, "a b": {}, "foo": {},
	} {
		if got := [2]bool{(*steady.Ingress)(nil).Switches(protocol), all.Switches(protocol)}; got != want {
			t.Errorf("%q: %v, want %v", protocol, got, want)
		}
	}
}

func TestSpec_EntryNamesThePortThatAnsweredHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		probe steady.Probe
		want  *steady.Ingress
	}{
		"http":  {steady.Probe{Kind: steady.ProbeHTTP, Port: 80}, &steady.Ingress{HTTPPorts: []uint16{80}}},
		"https": {steady.Probe{Kind: steady.ProbeHTTP, Port: 443, Scheme: "https"}, nil},
		"tcp":   {steady.Probe{Kind: steady.ProbeTCP, Port: 80}, nil},
	} {
		if got := (steady.Spec{Probe: c.probe}).Entry(); !steady.Equal(got, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
