package proxy

import (
	"strings"
	"testing"
)

func TestClassify_TellsHTTPFromTheRest(t *testing.T) {
	for first, want := range map[string]int{
		"GET / HTTP/1.1\r\n":               speaksHTTP,
		"OPTIONS * HTTP/1.1":               speaksHTTP,
		"GET http://a/ HTTP/1.1":           speaksHTTP,
		"VERSION-CONTROL /a":               speaksHTTP,
		"M-SEARCH * HTTP/1.1":              speaksHTTP,
		"PROPFIND /":                       speaksHTTP,
		"":                                 undecided,
		"G":                                undecided,
		"POST":                             undecided,
		"POST ":                            undecided,
		"PRI * HTTP/2.0\r\n":               speaksHTTP2,
		"P":                                undecided,
		"PRI * HTT":                        undecided,
		"PRI * HTTP/1.1\r\n":               speaksHTTP,
		"*1\r\n$4\r\nPING\r\n":             speaksText, // Redis
		"PING\r\n":                         speaksText,
		"EHLO mail\r\n":                    speaksText,
		"get key\r\nGET / HTTP/1.1\r\n":    speaksText,  // memcached: the first line decides
		"\x16\x03\x01\x02\x00":             speaksOther, // TLS
		"\x00\x00\x00\x08\x04\xd2\x16\x2f": speaksOther, // PostgreSQL
		"\x10\x0c\x00\x04MQTT":             speaksOther,
		"AMQP\x00\x00\x09\x01":             speaksText,
		"get / HTTP/1.1\r\n":               speaksHTTP, // a method of its own
		"get / http/":                      speaksHTTP,
		"get / htt":                        undecided,
		"get / htt\r\n":                    speaksText,
		"GE\x01T / HTTP/1.1\r\n":           speaksHTTP,
		"\r\nGET / HTTP/1.1\r\n":           speaksHTTP,
		"\r\n":                             undecided,
		" GET /":                           speaksHTTP,
		"GET\t/\tHTTP/1.1\r\n":             speaksHTTP,
		"CONNECT a:443 HTTP/1.1\r\n":       speaksHTTP,
		"CONNECT {\"verbose\":false":       undecided,
		"CONNECT {\"verbose\":false}\r\n":  speaksText, // NATS
		"CONNECT\naccept-version:1.2\n":    speaksText, // STOMP
		"SSH-2.0-OpenSSH":                  undecided,
		"SSH-2.0-OpenSSH\r\n":              speaksText,
		"OPTIONS sip:a SIP/2.0\r\n":        speaksText,
		strings.Repeat("A", 33):            undecided,
		strings.Repeat("A", peekSize):      speaksText,
	} {
		if got := classify([]byte(first)[:min(len(first), peekSize)]); got != want {
			t.Errorf("%q: %d, want %d", first, got, want)
		}
	}
}
