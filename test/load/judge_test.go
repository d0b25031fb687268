package load

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// answered makes a report of answers, {sent, done, release} each, in seconds.
func answered(of ...[3]int) Report {
	r := Report{Run: "t", Started: time.Now()}
	for n, a := range of {
		r.answers = append(r.answers, Answer{N: n, Sent: time.Duration(a[0]) * time.Second, Done: time.Duration(a[1]) * time.Second, Release: a[2]})
	}
	return r
}

func TestJudge(t *testing.T) {
	at := func(r Report, s int) time.Time { return r.Started.Add(time.Duration(s) * time.Second) }
	up := func(Report) []Shift { return []Shift{{Release: 1}, {Release: 2}} }
	for name, c := range map[string]struct {
		report Report
		turns  func(Report) []Shift
		wrong  []int // N
	}{
		"one after the other":             {answered([3]int{0, 1, 1}, [3]int{2, 3, 2}), up, nil},
		"sent before the new was seen":    {answered([3]int{0, 2, 2}, [3]int{1, 5, 1}), up, nil},
		"sent after the new was seen":     {answered([3]int{0, 2, 2}, [3]int{3, 5, 1}), up, []int{1}},
		"release of no turn":              {answered([3]int{0, 2, 7}), up, []int{0}},
		"no release named":                {answered([3]int{0, 2, 0}), up, nil},
		"backwards, as a rollback goes":   {answered([3]int{0, 2, 2}, [3]int{3, 5, 1}), func(Report) []Shift { return []Shift{{Release: 2}, {Release: 1}} }, nil},
		"forwards in a rollback":          {answered([3]int{0, 2, 1}, [3]int{3, 5, 2}), func(Report) []Shift { return []Shift{{Release: 2}, {Release: 1}} }, []int{1}},
		"there and back":                  {answered([3]int{0, 1, 1}, [3]int{2, 3, 2}, [3]int{4, 5, 1}, [3]int{6, 7, 2}), func(Report) []Shift { return []Shift{{Release: 1}, {Release: 2}, {Release: 1}} }, []int{3}},
		"back before it was ordered":      {answered([3]int{2, 3, 2}, [3]int{4, 5, 1}), func(r Report) []Shift { return []Shift{{Release: 1}, {Release: 2}, {Release: 1, From: at(r, 9)}} }, []int{1}},
		"old after its successor is done": {answered([3]int{6, 7, 1}), func(r Report) []Shift { return []Shift{{Release: 1}, {Release: 2, Done: at(r, 5)}} }, []int{0}},
		"mixed until done":                {answered([3]int{0, 1, 2}, [3]int{2, 3, 1}, [3]int{6, 7, 1}), func(r Report) []Shift { return []Shift{{Release: 1}, {Release: 2, Done: at(r, 5), Mixed: true}} }, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong []int
			for _, a := range c.report.Judge(c.turns(c.report)...) {
				wrong = append(wrong, a.N)
			}
			if !slices.Equal(wrong, c.wrong) {
				t.Errorf("wrong %v, want %v", wrong, c.wrong)
			}
		})
	}
}

func TestEarly(t *testing.T) {
	r := Report{Started: time.Now()}
	s := time.Second
	r.ends = []StreamEnd{
		{N: 0, Release: 1, Ended: 5 * s, How: CutOff},                  // before the rollout
		{N: 1, Release: 1, Ended: 15 * s, How: Closed},                 // in its clock
		{N: 2, Release: 1, Ended: 41 * s, How: CutOff},                 // after its clock
		{N: 3, Release: 2, Opened: 12 * s, Ended: 60 * s, How: Closed}, // nothing followed
		{N: 4, Release: 1, Ended: 12 * s, How: Left},                   // by ourselves
	}
	var early []int
	for _, e := range r.Early(30*s, Shift{Release: 1}, Shift{Release: 2, From: r.Started.Add(10 * s)}) {
		early = append(early, e.N)
	}
	if want := []int{0, 1, 3}; !slices.Equal(early, want) {
		t.Errorf("early %v, want %v", early, want)
	}
}

func TestJudge_SeesAServerThatGoesBack(t *testing.T) {
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("X-Release", map[bool]string{true: "1", false: "2"}[n%10 == 9])
	}))
	defer srv.Close()
	r := Run(t.Context(), Options{URL: srv.URL, Rate: 100, Duration: 1500 * time.Millisecond, Conns: 1, Mix: Mix{KeepAlive: 1}, WebSockets: -1, SSEs: -1})
	if wrong := r.Judge(r.Ascending()...); len(wrong) < 2 {
		t.Errorf("%d wrong-release:\n%s", len(wrong), r)
	}
}
