package proxy

import (
	"errors"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// errMalformed is a request whose head cannot be written as HTTP/1.1 without
// becoming another one.
var errMalformed = errors.New("malformed request head")

// checkHead says whether a request's head is made of what RFC 9110 and RFC 9112
// allow: a method that is a token, a target in origin form (or "*" for OPTIONS)
// without spaces and controls, a host, and fields with valid names and values.
// HTTP/2 and HTTP/3 can carry any byte in each of them, and net/http writes a
// method and a target as they are. It is asked of what a client sends, and again of
// everything that is sent to an app: see exchange.send.
func checkHead(method, target, host string, fields http.Header) error {
	switch {
	case !httpguts.ValidHeaderFieldName(method): // both are tokens
		return errMalformed
	case !validTarget(method, target):
		return errMalformed
	case !httpguts.ValidHostHeader(host) || strings.ContainsAny(host, "/\\@?#"):
		return errMalformed
	}
	return checkFields(fields)
}

func checkFields(fields http.Header) error {
	for name, values := range fields {
		if !httpguts.ValidHeaderFieldName(name) {
			return errMalformed
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return errMalformed
			}
		}
	}
	return nil
}

// validTarget leaves bytes above ASCII alone: browsers and apps send them.
func validTarget(method, target string) bool {
	if target == "*" {
		return method == http.MethodOptions
	}
	if target == "" || target[0] != '/' {
		return false
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// checkRequest is checkHead for a request that has come in; status is the answer
// where there is something wrong. CONNECT asks for a tunnel, which is not ours to
// give (RFC 9110 9.3.6).
func checkRequest(in *http.Request) (status int) {
	target := in.RequestURI
	switch {
	case in.Method == http.MethodConnect:
		return http.StatusNotImplemented
	case in.URL.Host != "": // absolute form, which names the host too (RFC 9112 3.2.2)
		if !strings.EqualFold(in.URL.Scheme, "http") && !strings.EqualFold(in.URL.Scheme, "https") {
			return http.StatusBadRequest
		}
		target = in.URL.RequestURI()
	}
	if named := in.Header["Host"]; len(named) > 0 && (len(named) > 1 || named[0] != in.Host) { // RFC 9113 8.3.1
		return http.StatusBadRequest
	}
	if checkHead(in.Method, target, in.Host, in.Header) != nil || checkFields(in.Trailer) != nil {
		return http.StatusBadRequest
	}
	return 0
}
