package proxy

import "testing"

func TestClassify_TellsHTTPFromTheRest(t *testing.T) {
	for first, want := range map[string]int{
		"GET / HTTP/1.1\r\n":                speaksHTTP,
		"OPTIONS * HTTP/1.1":                speaksHTTP,
		"GET http://a/ HTTP/1.1":            speaksHTTP,
		"VERSION-CONTROL /a":                speaksHTTP,
		"M-SEARCH * HTTP/1.1":               speaksHTTP,
		"PROPFIND /":                        speaksHTTP,
		"":                                  undecided,
		"G":                                 undecided,
		"POST":                              undecided,
		"POST ":                             undecided,
		"PRI * HTTP/2.0\r\n":                speaksHTTP2,
		"*1\r\n$4\r\nPING\r\n":              speaksOther, // Redis
		"PING\r\n":                          speaksOther,
		"EHLO mail\r\n":                     speaksOther,
		"\x16\x03\x01\x02\x00":              speaksOther, // TLS
		"get / http":                        speaksOther, // methods are upper case
		" GET /":                            speaksOther,
		"CONNECT {\"verbose\":false":        speaksOther, // NATS
		"SSH-2.0-OpenSSH":                   speaksOther,
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": speaksOther,
	} {
		if got := classify([]byte(first)[:min(len(first), peekSize)]); got != want {
			t.Errorf("%q: %d, want %d", first, got, want)
		}
	}
}
