package compose_test

import (
	"net/netip"
	"testing"

	"gesalpai.ch/steady"
)

func TestXSteady_IngressIsTheDefaultUnlessTheFilesSaySo(t *testing.T) {
	p := loadText(t, `
x-steady: {underscores_in_headers: true}
services:
  top: {image: x}
  off: {image: x, x-steady: {underscores_in_headers: false}}
  own: {image: x, x-steady: {trusted_proxies: [10.1.2.3/8, "2001:db8::1"], upgrades: Own/1}}
`)
	want := map[string]*steady.Ingress{
		"top": {Underscores: true},
		"off": nil,
		"own": {Underscores: true, Upgrades: []string{"own/1"},
			Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")}},
	}
	for _, s := range p.Specs {
		if !steady.Equal(s.Ingress, want[s.Service]) {
			t.Errorf("%s: %+v, want %+v", s.Service, s.Ingress, want[s.Service])
		}
	}
	for _, s := range loadText(t, one).Specs {
		if s.Ingress != nil {
			t.Errorf("%s: %+v", s.Service, s.Ingress)
		}
	}
}

func TestXSteady_RefusesAnIngressThatIsNone(t *testing.T) {
	for x, want := range map[string]string{
		"underscores_in_headers: some": "underscores_in_headers: some is neither true nor false",
		"trusted_proxies: [here]":      `trusted_proxies: "here" is neither an address nor a network such as 10.0.0.0/8`,
		"trusted_proxies: []":          "trusted_proxies: the list is empty",
		"upgrades: [h2c]":              "upgrades: h2c would carry requests that the proxy does not see",
		"upgrades: [HTTP/2.0]":         "upgrades: HTTP/2.0 would carry requests that the proxy does not see",
		`upgrades: ["a b"]`:            `upgrades: "a b" is no protocol`,
	} {
		refuses(t, "services: {web: {image: x, x-steady: {"+x+"}}}", want)
	}
}
