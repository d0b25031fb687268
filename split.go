package steady

import "math"

// Split shares what comes to a service between the release on trial and all
// others that its route or pool lists. A request whose Header asks for one of the
// two gets it; else the client's place decides.
//
// A place is one of Places. A client has it from Cookie, or it is drawn, evenly, so
// that shares follow Percent; who is told it keeps it. It is on trial where the place
// is below Percent's part of all. So a client moves at most once while the split
// lasts, with the step that reaches its place, and never back; and returning clients
// make up the share as new ones do.
type Split struct {
	Release int     `json:"release"`          // on trial
	Percent float64 `json:"percent"`          // of what comes, from 0 to 100, in hundredths
	Header  string  `json:"header,omitempty"` // name of a header, in its canonical form: SplitAlways asks for the release on trial, SplitNever for the other
	Cookie  string  `json:"cookie,omitempty"` // name of the cookie that tells a client its place; empty: every request is drawn anew
}

// Values of Split.Header, in any case.
const (
	SplitAlways = "always"
	SplitNever  = "never"
)

// Places is how many places there are: one per hundredth of a percent.
const Places = 10_000

// Below is how many of the places are on trial.
func (s Split) Below() int { return int(math.Round(s.Percent / 100 * Places)) }
