package cli

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/drill"
)

func TestDrill_TheLoadGoesToWhereTheServiceIsReached(t *testing.T) {
	port := func(host string, published uint16, protocol string) steady.Port {
		return steady.Port{HostIP: host, Published: published, Target: 80, Transport: "tcp", Protocol: protocol}
	}
	probe := steady.Probe{Kind: steady.ProbeHTTP, Path: "/health?x=1"}
	rule := steady.Rule{Host: "api.test", Path: "/", HTTP: ":80", HTTPS: ":443"}
	below := steady.Rule{Host: "api.test", Path: "/v1", HTTP: ":8080"}
	wild := steady.Rule{Host: "*.test", Path: "/", HTTP: ":80"}
	for name, c := range map[string]struct {
		spec steady.Spec
		f    drillFlags
		want string // url; Host header, or what is refused
		host string
	}{
		"published":          {spec: steady.Spec{Ports: []steady.Port{port("", 8000, steady.Auto)}}, want: "http://127.0.0.1:8000/", host: "127.0.0.1:8000"},
		"at an address":      {spec: steady.Spec{Ports: []steady.Port{port("10.0.0.1", 8000, steady.HTTP)}, Probe: probe}, want: "http://10.0.0.1:8000/health?x=1", host: "10.0.0.1:8000"},
		"by version 6":       {spec: steady.Spec{Ports: []steady.Port{port("::", 8000, steady.HTTP)}}, want: "http://[::1]:8000/", host: "[::1]:8000"},
		"the first HTTP one": {spec: steady.Spec{Ports: []steady.Port{port("", 5432, steady.TCP), port("", 8000, steady.Auto)}}, want: "http://127.0.0.1:8000/", host: "127.0.0.1:8000"},
		"path asked for":     {spec: steady.Spec{Ports: []steady.Port{port("", 8000, steady.Auto)}, Probe: probe}, f: drillFlags{path: "/a?b"}, want: "http://127.0.0.1:8000/a?b", host: "127.0.0.1:8000"},
		"a route":            {spec: steady.Spec{Routes: []steady.Rule{wild, rule}, Probe: probe}, want: "https://127.0.0.1:443/health?x=1 for api.test", host: "api.test"},
		"a route below":      {spec: steady.Spec{Routes: []steady.Rule{below}, Probe: probe}, want: "http://127.0.0.1:8080/v1 for api.test", host: "api.test"},
		"another URL":        {spec: steady.Spec{Routes: []steady.Rule{rule}}, f: drillFlags{target: "https://x.test/y?z"}, want: "https://x.test/y?z", host: "x.test"},
		"another host":       {spec: steady.Spec{Probe: probe}, f: drillFlags{target: "https://x.test"}, want: "https://x.test/health?x=1", host: "x.test"},
		"gRPC":               {spec: steady.Spec{Ports: []steady.Port{port("", 8000, steady.H2C)}}, want: "what it publishes is no HTTP/1.1"},
		"wildcards":          {spec: steady.Spec{Routes: []steady.Rule{wild}}, want: "no load can be sent to"},
		"nobody's":           {want: "it publishes no port and has no route"},
	} {
		l, url, err := drillLoad(c.f, c.spec)
		if c.host == "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage {
				t.Errorf("%s: %v, %s", name, err, url)
			}
			continue
		}
		path := strings.TrimSuffix(url[strings.Index(url, "//")+2:], " for api.test")
		path = path[strings.Index(path, "/"):]
		if err != nil || url != c.want || l.Target.Host != c.host || l.Target.Prefix+l.Exchange.Path != path || (l.Target.TLS != nil) != strings.HasPrefix(url, "https") {
			t.Errorf("%s: %s, host %s, path %s, %v; want %s", name, url, l.Target.Host, l.Exchange.Path, err, c.want)
		}
	}
}

func TestDrill_PastItsBudgetByEitherCount(t *testing.T) {
	d := drilled{Project: "shop", Service: "api"}
	for _, c := range []struct {
		load, proxy int
		budget      string
		want        int
	}{
		{0, 0, "0", exitDone}, {1, 0, "0", exitLossBudget}, {0, 1, "0", exitLossBudget}, {3, 2, "3", exitDone}, {3, 4, "3", exitLossBudget},
		{3, 3, "3%", exitDone}, {3, 4, "3%", exitLossBudget}, {4, 3, "3%", exitLossBudget},
	} {
		var b budget
		if err := b.Set(c.budget); err != nil {
			t.Fatal(err)
		}
		d.Report.All.Sent, d.Report.All.Lost = 100, c.load
		d.Receipts = []steady.Receipt{{Services: []steady.ServiceReceipt{{Releases: map[int]steady.Counts{1: {Requests: 100, Lost: int64(c.proxy)}}}}}}
		if got := exitCode(d.past(b)); got != c.want {
			t.Errorf("%+v: exit %d", c, got)
		}
	}
	d.Receipts[0].Missed = []steady.Missed{{}}
	if err := d.past(budget{text: "100%", percent: 100}); exitCode(err) != exitLossBudget || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("a proxy that died: %v", err)
	}
}

func TestDrill_AReportSaysWhereAllAnswersWere4xx(t *testing.T) {
	d := drilled{Verdict: "so it is"}
	d.Report.All = drill.Span{Sent: 3, Answered: 3, Classes: map[string]int{"4xx": 3}, For: time.Second}
	notes := strings.Join(drillNotes(d), "\n")
	if !strings.Contains(notes, "--path chooses") || !strings.HasSuffix(notes, "so it is") {
		t.Error(notes)
	}
	d.Report.All.Classes = map[string]int{"2xx": 1, "4xx": 2}
	if notes := strings.Join(drillNotes(d), "\n"); strings.Contains(notes, "--path") {
		t.Error(notes)
	}
}

func TestDrill_AnHTTPSTargetIsVerifiedUnlessAskedNotTo(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer srv.Close()
	for _, insecure := range []bool{false, true} {
		l, _, err := drillLoad(drillFlags{target: srv.URL, rate: 10, insecure: insecure}, steady.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		v := drill.Start(l)
		for ended, _ := v.Sum(); ended < 3; ended, _ = v.Sum() {
			time.Sleep(time.Millisecond)
		}
		v.End()
		r := v.Report(time.Now(), time.Now())
		if insecure && r.All.Lost > 0 || !insecure && r.All.Phases["connect"] != r.All.Sent {
			t.Errorf("insecure %t: %+v", insecure, r.All)
		}
	}
}
