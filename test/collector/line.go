package collector

import "bytes"

// parse finds who logged a syslog line and the request id in it, nil where there
// is none. It takes what Docker's driver sends in each of its formats:
//
//	<30>Nov 23 08:45:39 shop-api-1-1[812]: text           default
//	<30>Nov 23 08:45:39 host shop-api-1-1[812]: text      rfc3164
//	<30>1 2026-11-23T08:45:39Z host shop-api-1-1 812 shop-api-1-1 - text
func parse(line []byte) (by, id []byte) {
	line = bytes.TrimRight(line, "\r\n")
	_, rest, ok := bytes.Cut(line, []byte(">"))
	if !ok {
		return nil, requestID(line)
	}
	if after, ok := bytes.CutPrefix(rest, []byte("1 ")); ok {
		return parse5424(after)
	}
	head, text, ok := bytes.Cut(rest, []byte("]: "))
	if !ok {
		return nil, requestID(rest)
	}
	tag, _, _ := bytes.Cut(head[bytes.LastIndexByte(head, ' ')+1:], []byte("["))
	return tag, requestID(text)
}

// parse5424 parses what follows the version: TIMESTAMP HOST APP PROCID MSGID SD TEXT.
func parse5424(rest []byte) (by, id []byte) {
	fields := bytes.SplitN(rest, []byte(" "), 7)
	if len(fields) < 7 {
		return nil, requestID(rest)
	}
	return fields[2], requestID(fields[6])
}

// requestID is the value of id= in a line of key=value pairs.
func requestID(text []byte) []byte {
	for len(text) > 0 {
		var pair []byte
		pair, text, _ = bytes.Cut(text, []byte(" "))
		if id, ok := bytes.CutPrefix(pair, []byte("id=")); ok {
			return bytes.Trim(id, `"`)
		}
	}
	return nil
}
