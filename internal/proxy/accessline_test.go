package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// nasty is an entry made of what a client may send to break a log.
func nasty() accessEntry {
	evil := "a\"b\\c\nd\re\x00\xff\x7f" + "é" + `" 200 0 "-" "-`
	return accessEntry{
		time: time.Date(2026, 11, 25, 16, 0, 1, 2_000_000, time.UTC), id: evil, client: "203.0.113.9", peer: "127.0.0.1",
		host: evil, method: evil, path: "/" + strings.Repeat("x", 10_000), proto: "HTTP/1.1", status: 200, bytes: 7,
		service: "shop/api", release: 3, upstream: "shop-api-3-1", claim: 12 * time.Microsecond, first: time.Millisecond,
		total: 1234567 * time.Microsecond, retried: 1, outcome: outcomeAnswered, referer: evil, agent: strings.Repeat(evil, 100),
	}
}

func TestAccessLine_JSONIsOneValidLineWhateverAClientSends(t *testing.T) {
	e := nasty()
	b := e.json(nil)
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Fatalf("%v\n%s", err, b)
	}
	if got["time"] != "2026-11-25T16:00:01.002Z" || got["release"] != 3.0 || got["total"] != 1.234567 || got["upstream"] != "shop-api-3-1" {
		t.Errorf("%v", got)
	}
	if id := got["id"].(string); id != strings.ReplaceAll(e.id, "\xff", "\uFFFD") {
		t.Errorf("id %q", id)
	}
	if len(b) > 8000 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestAccessLine_CombinedIsNginxsAndNothingBreaksOut(t *testing.T) {
	e := nasty()
	line := string(e.combined(nil))
	// The fields of a parser of nginx's combined format, and then ours.
	fields := regexp.MustCompile(`^(\S+) - - \[([^\]]+)\] "([^"]*)" (\d+) (\d+) "([^"]*)" "([^"]*)" id="([^"]*)" host="([^"]*)" peer=127.0.0.1 service=shop/api release=3 upstream=shop-api-3-1 claim=0.000012 first=0.001000 total=1.234567 retried=1 stream=false outcome=answered\n$`)
	m := fields.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("does not parse:\n%s", line)
	}
	if m[2] != "25/Nov/2026:16:00:01 +0000" || m[4] != "200" || m[5] != "7" {
		t.Errorf("%q", m[1:6])
	}
	e.referer, e.agent, e.upstream, e.service = "", "", "", ""
	if line := string(e.combined(nil)); !strings.Contains(line, ` "-" "-" id=`) || !strings.Contains(line, "service=- ") {
		t.Errorf("empty fields:\n%s", line)
	}
}

func TestAccessLine_QueriesAreThereOnlyWhenAskedFor(t *testing.T) {
	u, err := url.Parse("/login?token=secret#there")
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{in: &http.Request{URL: u, Header: http.Header{"Referer": {"https://a/b?token=secret"}}, RemoteAddr: "127.0.0.1:1"}}
	for query, want := range map[bool]string{false: "/login", true: "/login?token=secret"} {
		e := x.entry(query)
		if e.path != want || strings.Contains(e.referer, "secret") != query {
			t.Errorf("query %v: path %q, referer %q", query, e.path, e.referer)
		}
	}
	if u, err = url.Parse("http://user:secret@host/x"); err != nil {
		t.Fatal(err)
	}
	x.in.URL = u
	if e := x.entry(true); e.path != "/x" {
		t.Errorf("of an absolute target: %q", e.path)
	}
}

func BenchmarkAccessLine(b *testing.B) {
	e := accessEntry{
		time: time.Now(), id: strings.Repeat("a", 32), client: "203.0.113.9", peer: "127.0.0.1", host: "api.example", method: "GET",
		path: "/v1/things/42", proto: "HTTP/1.1", status: 200, bytes: 1024, service: "shop/api", release: 3, upstream: "shop-api-3-1",
		claim: 12 * time.Microsecond, first: time.Millisecond, total: 2 * time.Millisecond, outcome: outcomeAnswered, agent: "curl/8.0",
	}
	var buf []byte
	for b.Loop() {
		buf = e.json(buf[:0])
	}
}
