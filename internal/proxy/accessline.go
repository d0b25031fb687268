package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Formats of the access log.
const (
	AccessJSON     = "json"
	AccessCombined = "combined"
)

// Outcomes of an exchange, as steady.Counts has them.
const (
	outcomeAnswered = "answered" // the app's answer was passed on whole, whatever its status
	outcomeLost     = "lost"     // answered by us instead, or broken off by the app
	outcomeCut      = "cut"      // lost, because the drain's clock ran out
	outcomeLeft     = "left"     // given up by the client, or it broke the rules
	outcomeShut     = "shut"     // answered with a maintenance's page
	outcomeTold     = "told"     // answered by us as it concerns no replica: a redirect, an unknown host
)

// statusLeft is nginx's word for a client that left before an answer began.
const statusLeft = 499

// Bounds of what a client can write into the log, in bytes; what is longer is cut.
const (
	mostPath  = 2048
	mostAgent = 512
	mostWord  = 255 // host, id, method
)

// accessEntry is one line of the access log before it is one.
type accessEntry struct {
	time               time.Time // when the request's head had been read
	id                 string
	client, peer, host string
	method, path       string
	proto              string
	status             int
	bytes              int64 // of the answer's body; of an upgraded connection, to the client
	service            string
	release            int           // 0: no upstream
	upstream           string        // container name; empty: none
	elder              string        // container name of the elder whose answer it was; empty: none's
	held               time.Duration // at the gate, part of claim; 0: it did not wait there
	claim              time.Duration
	first              time.Duration // until the answer's head; 0: none came
	total              time.Duration
	retried            int
	stream             bool
	outcome            string
	referer, agent     string
}

// entry is the exchange, which is over, as the log tells it.
func (x *exchange) entry(query bool) accessEntry {
	client, peer := addresses(x.in, x.trusts)
	e := accessEntry{
		time: x.began, id: x.id[0], client: client.String(), peer: peer.String(), host: x.in.Host,
		method: x.in.Method, path: pathOf(x.in, query), proto: x.in.Proto,
		status: x.status, bytes: x.sent, held: x.waited, claim: x.claimedAfter, first: x.firstAfter, total: time.Since(x.began),
		retried: max(x.tries-1, 0), stream: x.kind == stream, outcome: x.outcome,
		referer: x.in.Referer(), agent: x.in.UserAgent(),
	}
	if x.pool != nil {
		e.service = x.pool.service
	}
	if x.claimed {
		e.release, e.upstream = x.upstream.Release, x.upstream.Name
	}
	if x.aside != nil && x.aside.passed.Load() {
		e.elder = x.aside.elder.Name
	}
	if !query {
		e.referer, _, _ = strings.Cut(e.referer, "?")
	}
	switch {
	case e.status == 0 && x.answer.tunnel.Load() != nil:
		e.status = http.StatusSwitchingProtocols
	case e.status == 0:
		e.status = statusLeft
	}
	return e
}

// pathOf is what was asked for. Query strings may hold secrets, so they are there
// only where they are asked for; what else a URL may hold, user and password, never.
func pathOf(in *http.Request, query bool) string {
	path := in.URL.EscapedPath()
	if query && in.URL.RawQuery != "" {
		path += "?" + in.URL.RawQuery
	}
	return path
}

// json appends the entry as one line.
func (e *accessEntry) json(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	for _, f := range [...]struct {
		name, value string
		most        int
	}{
		{"id", e.id, mostWord}, {"client", e.client, mostWord}, {"peer", e.peer, mostWord}, {"host", e.host, mostWord},
		{"method", e.method, mostWord}, {"path", e.path, mostPath}, {"proto", e.proto, mostWord},
	} {
		b = appendField(b, f.name, f.value, f.most)
	}
	b = strconv.AppendInt(append(b, `,"status":`...), int64(e.status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), e.bytes, 10)
	b = appendField(b, "service", e.service, mostWord)
	b = strconv.AppendInt(append(b, `,"release":`...), int64(e.release), 10)
	b = appendField(b, "upstream", e.upstream, mostWord)
	b = appendField(b, "elder", e.elder, mostWord)
	if e.held > 0 {
		b = appendSeconds(append(b, `,"held":`...), e.held)
	}
	b = appendSeconds(append(b, `,"claim":`...), e.claim)
	b = appendSeconds(append(b, `,"first":`...), e.first)
	b = appendSeconds(append(b, `,"total":`...), e.total)
	b = strconv.AppendInt(append(b, `,"retried":`...), int64(e.retried), 10)
	b = strconv.AppendBool(append(b, `,"stream":`...), e.stream)
	b = appendField(b, "outcome", e.outcome, mostWord)
	b = appendField(b, "referer", e.referer, mostPath)
	b = appendField(b, "agent", e.agent, mostAgent)
	return append(b, "}\n"...)
}

// combined appends the entry as nginx's and Apache's combined format has it, and
// behind it what that has no place for.
func (e *accessEntry) combined(b []byte) []byte {
	b = append(b, e.client...)
	b = append(b, " - - ["...)
	b = e.time.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = appendSafe(append(b, `] "`...), e.method, mostWord)
	b = appendSafe(append(b, ' '), e.path, mostPath)
	b = appendSafe(append(b, ' '), e.proto, mostWord)
	b = strconv.AppendInt(append(b, `" `...), int64(e.status), 10)
	b = strconv.AppendInt(append(b, ' '), e.bytes, 10)
	b = appendSafe(append(b, ` "`...), dashed(e.referer), mostPath)
	b = appendSafe(append(b, `" "`...), dashed(e.agent), mostAgent)
	b = appendSafe(append(b, `" id="`...), e.id, mostWord)
	b = appendSafe(append(b, `" host="`...), e.host, mostWord)
	b = append(append(b, `" peer=`...), e.peer...)
	b = append(append(b, ` service=`...), dashed(e.service)...)
	b = strconv.AppendInt(append(b, ` release=`...), int64(e.release), 10)
	b = append(append(b, ` upstream=`...), dashed(e.upstream)...)
	if e.elder != "" {
		b = append(append(b, ` elder=`...), e.elder...)
	}
	if e.held > 0 {
		b = appendSeconds(append(b, ` held=`...), e.held)
	}
	b = appendSeconds(append(b, ` claim=`...), e.claim)
	b = appendSeconds(append(b, ` first=`...), e.first)
	b = appendSeconds(append(b, ` total=`...), e.total)
	b = strconv.AppendInt(append(b, ` retried=`...), int64(e.retried), 10)
	b = strconv.AppendBool(append(b, ` stream=`...), e.stream)
	b = append(append(b, ` outcome=`...), e.outcome...)
	return append(b, '\n')
}

func dashed(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// appendSeconds writes a duration in seconds, to the microsecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', 6, 64)
}

// appendField writes a member of a JSON object; an empty one is left out.
func appendField(b []byte, name, value string, most int) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":"`...)
	for _, r := range cutAt(value, most) { // what is no UTF-8 ranges as U+FFFD
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendSafe escapes what would end a field or a line, as nginx does.
func appendSafe(b []byte, value string, most int) []byte {
	value = cutAt(value, most)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func cutAt(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most]
}
