package web_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/web"
)

var began = time.Date(2026, 11, 25, 18, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }

// spread is n answers around a latency.
func spread(n int64, around time.Duration) steady.Histogram {
	l := make(steady.Latencies, steady.LatencyBuckets)
	for i := range n {
		f := math.Exp(1.1 * math.Cos(float64(i)*2.4) * math.Sin(float64(i)*0.7+1))
		if i%97 == 0 {
			f *= 6
		}
		l[steady.LatencyBucket(time.Duration(float64(around)*f))]++
	}
	return l.Histogram()
}

// rolled is a rollout of two services: one that was replaced without a loss, one
// that lost something.
func rolled() steady.Rollout {
	api := steady.ServiceReceipt{Service: "api", From: 41, To: 42, Strategy: steady.StrategyStartNew, Ready: 3200 * time.Millisecond,
		Releases: map[int]steady.Counts{41: {Requests: 1890, Answered: 1880, Left: 10, Streams: 6, StreamsEnded: 3, StreamsClosed: 3}, 42: {Requests: 1420, Answered: 1420, Streams: 6}},
		Answers: map[int]steady.Answers{
			41: {Classes: [6]int64{0, 6, 1860, 12, 2, 0}, Took: spread(1874, 31*time.Millisecond)},
			42: {Classes: [6]int64{0, 6, 1400, 10, 4, 0}, Took: spread(1414, 27*time.Millisecond)}},
		Drained: steady.Drained{Requests: 17, Longest: 2300 * time.Millisecond, Streams: 6, StreamsEnded: 3, StreamsClosed: 3},
		Before:  steady.Stretch{For: time.Minute, Requests: 14200, Took: spread(14200, 31*time.Millisecond)},
		After:   steady.Stretch{For: 6 * time.Second, Requests: 1420, Took: spread(1414, 27*time.Millisecond)}}
	db := steady.ServiceReceipt{Service: "<db>&", From: 41, To: 42, Strategy: steady.StopFirst, Gap: 1700 * time.Millisecond, Ready: 1100 * time.Millisecond,
		Releases: map[int]steady.Counts{0: {Requests: 12, Lost: 12}, 41: {Requests: 300, Answered: 290, Errors: 4, Lost: 6, Cut: 6}, 42: {Requests: 200, Answered: 200}},
		Answers:  map[int]steady.Answers{41: {Classes: [6]int64{0, 0, 286, 0, 0, 4}, Took: spread(290, 4*time.Millisecond)}, 42: {Classes: [6]int64{0, 0, 200}, Took: spread(200, 4*time.Millisecond)}},
		Drained:  steady.Drained{Requests: 6, Cut: 6, Longest: time.Second}, Uncounted: []string{"calls by its name <script>alert(1)</script>"}}
	x := &steady.Receipt{Rollout: 7, Project: "shop", Took: 14200 * time.Millisecond, Began: began, Ended: at(14.2), Services: []steady.ServiceReceipt{api, db},
		Shifts: []steady.Shifted{
			{At: at(4.0), Step: "db/withdraw", Services: []steady.ServiceShift{{Service: "<db>&", Release: 41, Left: steady.Open{Requests: 6}}}},
			{At: at(5.7), Step: "db/shift", Services: []steady.ServiceShift{{Service: "<db>&", Release: 42, Replicas: 1}}},
			{At: at(8.2), Step: "shift", Services: []steady.ServiceShift{{Service: "api", Release: 42, Replicas: 2, Left: steady.Open{Requests: 17, Streams: 6}}}}}}
	for _, p := range []struct {
		service, kind string
		from, to      float64
	}{{"api", "pull", 0.1, 1.4}, {"api", "prepare", 1.5, 1.6}, {"<db>&", "prepare", 1.5, 1.6}, {"api", "create", 1.6, 1.8}, {"<db>&", "create", 1.6, 1.8}, {"api", "start", 1.8, 2.3}, {"api", "probe", 2.3, 3.9},
		{"<db>&", "drain", 4.0, 4.4}, {"<db>&", "stop", 4.4, 4.6}, {"<db>&", "start", 4.6, 4.8}, {"<db>&", "probe", 4.8, 5.7}, {"api", "watch", 8.2, 11.2}, {"api", "drain", 11.2, 13.5}, {"api", "stop", 13.5, 14.0}, {"api", "remove", 14.0, 14.2}, {"<db>&", "remove", 14.0, 14.1}} {
		x.Phases = append(x.Phases, steady.PhaseTaken{Service: p.service, Kind: p.kind, Began: at(p.from), Ended: at(p.to)})
	}
	x.Series = series()
	return steady.Rollout{ID: 7, Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutDone, Who: "eva@host", Started: began, Ended: at(14.2), Receipt: x}
}

func series() *steady.Series {
	s := &steady.Series{From: began.Add(20 * time.Millisecond)}
	lines := []steady.Line{{Service: "<db>&", Release: 0}, {Service: "<db>&", Release: 41}, {Service: "<db>&", Release: 42}, {Service: "api", Release: 41}, {Service: "api", Release: 42}}
	for i := range 15 {
		until := min(float64(i+1), 14.18)
		s.Until = append(s.Until, time.Duration(until*float64(time.Second)))
		for k := range lines {
			l := &lines[k]
			var n, errs int64
			mid := float64(i) + 0.5
			wobble := int64(12 * math.Sin(float64(3*i+k)))
			switch {
			case k == 0 && (i == 4 || i == 5):
				n, errs = 6, 6
			case k == 1 && mid < 4:
				n = 75 + wobble
				if i == 3 {
					errs = 10
				}
			case k == 2 && mid > 5.7:
				n = 24 + wobble/2
			case k == 3 && mid < 8.2:
				n = 230 + wobble
			case k == 4 && mid > 8.2:
				n = 236 + wobble
			}
			l.Requests, l.Errors, l.Open = append(l.Requests, n), append(l.Errors, errs), append(l.Open, 3)
			p50 := int64(0)
			if n > 0 && k > 0 {
				p50 = 27000 + 300*wobble
				if k < 3 {
					p50 = 4000 + 30*wobble
				}
			}
			l.P50, l.P99 = append(l.P50, p50), append(l.P99, p50*4)
		}
	}
	s.Lines = lines
	return s
}

func page(t *testing.T, r steady.Rollout) string {
	t.Helper()
	var b bytes.Buffer
	if err := web.Receipt(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReceipt_SaysWhatWasLost(t *testing.T) {
	got := page(t, rolled())
	for _, want := range []string{
		"3,822 requests, 18 lost (6 cut by the drain’s clock), 3 streams closed in order", `class="verdict bad"`,
		"41, old", "42, new", "no replica", "17 requests and 6 streams were in flight at the old one", "without a replica</dt><dd>1.7 s",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	r := rolled()
	r.Receipt.Services = r.Receipt.Services[:1]
	if got := page(t, r); !strings.Contains(got, "3,310 requests, 0 lost") || strings.Contains(got, "verdict bad") {
		t.Error("where nothing was lost it says otherwise")
	}
	r.Receipt.Missed = []steady.Missed{{From: at(1), To: at(2), Open: steady.Open{Requests: 4}}}
	if got := page(t, r); strings.Contains(got, "0 lost") || !strings.Contains(got, "Nothing was counted from 18:04:06.0 to 18:04:07.0 UTC") {
		t.Error("it does not say what was not counted")
	}
}

var rows = regexp.MustCompile(`(?s)<tr[^>]*><th scope="row">.*?</tr>`)
var cells = regexp.MustCompile(`<td>([^<]*)</td>`)

func TestReceipt_TablesHoldTheReceiptsFigures(t *testing.T) {
	r := rolled()
	got := page(t, r)
	table := got[strings.Index(got, `<table class="releases">`):]
	row := rows.FindAllString(table[:strings.Index(table, "</table>")], -1)
	if len(row) != 2 {
		t.Fatalf("%d rows of releases", len(row))
	}
	for i, release := range []int{41, 42} {
		c, a := r.Receipt.Services[0].Releases[release], r.Receipt.Services[0].Answers[release].Classes
		want := []int64{c.Requests, a[1], a[2], a[3], a[4], a[5], c.Lost, c.Cut, c.Left, c.Retried, c.Streams, c.StreamsEnded, c.StreamsClosed, c.StreamsQuiet, c.StreamsCut}
		told := cells.FindAllStringSubmatch(row[i], -1)
		if len(told) != len(want) {
			t.Fatalf("%d cells, want %d", len(told), len(want))
		}
		for k, cell := range told {
			if strings.ReplaceAll(cell[1], ",", "") != fmt.Sprint(want[k]) {
				t.Errorf("release %d, column %d: %s, want %d", release, k, cell[1], want[k])
			}
		}
	}
}

func TestReceipt_EscapesWhatOthersNamed(t *testing.T) {
	r := rolled()
	r.Project, r.Who = `<img src=x onerror=alert(1)>`, `"><svg onload=alert(1)>`
	r.Receipt.Project = r.Project
	r.Error = &steady.Error{Text: "</style></p><script>alert(1)</script>"}
	got := page(t, r)
	for _, never := range []string{"<script", "<img", "<svg onload", "<db>", "</style></p>"} {
		if strings.Contains(got, never) {
			t.Errorf("the page holds %q", never)
		}
	}
}

func TestReceipt_NeedsNothingFromElsewhere(t *testing.T) {
	got := page(t, rolled())
	for _, never := range []string{"http://", "https://", "src=", "href=", "url(", "@import", " on"} {
		if never == " on" { // event handlers
			if regexp.MustCompile(`\son[a-z]+=`).MatchString(got) {
				t.Error("the page has an event handler")
			}
			continue
		}
		if strings.Contains(got, never) {
			t.Errorf("the page holds %q", never)
		}
	}
}

var pictures = regexp.MustCompile(`(?s)<svg .*?</svg>`)
var figures = regexp.MustCompile(`-?[0-9.]+`)

// Each picture is well-formed, told to who cannot see it, and stays in its frame.
func TestReceipt_PicturesAreWholeAndSayWhatTheyShow(t *testing.T) {
	got := page(t, rolled())
	all := pictures.FindAllString(got, -1)
	if len(all) != 8 { // the course; three of api, four of db
		t.Fatalf("%d pictures", len(all))
	}
	for _, svg := range all {
		d := xml.NewDecoder(strings.NewReader(svg))
		named, paths := map[string]bool{}, 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, svg)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			named[e.Name.Local] = true
			for _, a := range e.Attr {
				if a.Name.Local == "d" {
					paths++
					within(t, a.Value)
				}
			}
		}
		if !named["title"] || !named["desc"] || paths == 0 {
			t.Errorf("a picture without title, description or anything drawn: %.200s", svg)
		}
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || strings.Contains(got, "ZgotmplZ") {
		t.Error("something cannot be drawn")
	}
}

// within checks that a path's points are within the view box.
func within(t *testing.T, path string) {
	t.Helper()
	for _, point := range regexp.MustCompile(`[ML][^MLZ]*`).FindAllString(path, -1) {
		at := figures.FindAllString(point, 2)
		for i, most := range []float64{760, 600} {
			if v, err := strconv.ParseFloat(at[i], 64); err != nil || v < 0 || v > most {
				t.Fatalf("%s lies outside: %v", point, err)
			}
		}
	}
}

func TestReceipt_OfARolloutThatCountedNothingIsAPageTooAndOneThatIsUnchanged(t *testing.T) {
	r := rolled()
	r.Receipt.Series, r.Receipt.Phases, r.Receipt.Shifts = nil, nil, nil
	r.Receipt.Services = []steady.ServiceReceipt{{Service: "worker", To: 1}}
	if got := page(t, r); !strings.Contains(got, "nothing came to it through steady") {
		t.Error("it does not say that nothing came")
	}
	r.State, r.Receipt = steady.RolloutUnchanged, &steady.Receipt{Project: "shop"}
	if got := page(t, r); !strings.Contains(got, "0 requests, 0 lost") {
		t.Error("an unchanged one says something else")
	}
}

func TestReceipt_SaysHeldWhereWhatComesWaits(t *testing.T) {
	r := rolled()
	if got := page(t, r); !strings.Contains(got, "shift to nobody") || strings.Contains(got, "held: what comes waits") {
		t.Error("a gap does not read as one")
	}
	r.Receipt.Shifts[0].Services[0].Held = true
	if got := page(t, r); !strings.Contains(got, "held: what comes waits") || !strings.Contains(got, ">held</text>") || strings.Contains(got, "to nobody") {
		t.Error("a gate that is shut reads as a gap")
	}
}
