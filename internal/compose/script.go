package compose

import (
	"regexp"
	"strings"
)

var (
	quoted  = regexp.MustCompile(`["'\x60](https?://[^"'\x60\s]+)["'\x60]`)
	is200   = regexp.MustCompile(`(?:status(?:_code|Code)?|getcode\(\))\)?\s*(?:={2,3}|!={1,2})\s*200\b`)
	below   = regexp.MustCompile(`(?:status(?:_code|Code)?)\s*(?:<\s*(?:400|399)|>=\s*400)`)
	isOK    = regexp.MustCompile(`\.ok\b`)
	compare = regexp.MustCompile(`[=!]==?|[<>]`)
	arrow   = regexp.MustCompile(`=>`)
	talks   = regexp.MustCompile(`(?i)header|data\s*=|body|json|auth|method|post|put\(|\bin\b`)
)

// pythonRequest understands one urlopen, which fails on a status from 400, or one
// requests.get or httpx.get whose status is looked at.
func pythonRequest(code string) (request, bool) {
	opens := strings.Count(code, "urlopen(")
	gets := strings.Count(code, "requests.get(") + strings.Count(code, "httpx.get(")
	if opens+gets != 1 || strings.Contains(code, "Request(") || strings.Contains(code, "except") {
		return request{}, false
	}
	looks := strings.Contains(code, "raise_for_status()")
	return codeRequest(code, opens == 1 || looks)
}

// nodeRequest understands one fetch or http.get whose status is looked at.
func nodeRequest(code string) (request, bool) {
	if strings.Count(code, "fetch(")+strings.Count(code, ".get(") != 1 || !strings.Contains(code, "exit(") {
		return request{}, false
	}
	return codeRequest(arrow.ReplaceAllString(code, ""), false)
}

// codeRequest finds the one address in a line of code and what status it wants.
// failing says that the call itself fails on a bad status.
func codeRequest(code string, failing bool) (request, bool) {
	var r request
	found := quoted.FindAllStringSubmatch(code, -1)
	if len(found) != 1 {
		return r, false
	}
	rest := strings.Replace(code, found[0][0], "", 1)
	switch {
	case is200.MatchString(rest):
		r.expect = []int{200}
		rest = is200.ReplaceAllString(rest, "")
	case below.MatchString(rest):
		rest = below.ReplaceAllString(rest, "")
	case isOK.MatchString(rest):
	case !failing:
		return r, false
	}
	if compare.MatchString(rest) || talks.MatchString(rest) {
		return r, false
	}
	return r, r.at(found[0][1])
}
