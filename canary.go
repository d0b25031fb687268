package steady

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of a canary, where x-steady.canary is silent.
const (
	DefaultCanaryEvery  = 2 * time.Minute
	DefaultCanaryCookie = "steady-canary"
)

// DefaultCanarySteps are the shares of a canary where the file names none.
func DefaultCanarySteps() []float64 { return []float64{5, 25, 50} }

// Canary is how a service's new release is tried out beside the old one before all
// goes to it: x-steady.canary.
type Canary struct {
	Steps  []float64     `json:"steps"`            // percent, rising, from 0 to 100
	Every  time.Duration `json:"every"`            // how long each step lasts
	Header string        `json:"header,omitempty"` // as in Split
	Cookie string        `json:"cookie,omitempty"` // as in Split
	Manual bool          `json:"manual,omitempty"` // each step ends only when somebody promotes it
}

// Stage is one step of the canaries of a rollout, and how far it is. All services
// that the rollout tries out take their steps together.
type Stage struct {
	Number int           `json:"number"` // from 1; 0: none has begun
	Of     int           `json:"of"`     // above it: all of them are over
	For    time.Duration `json:"for"`
	Manual bool          `json:"manual,omitempty"`
	Shares []Share       `json:"shares,omitempty"` // by service

	Paused   bool          `json:"paused,omitempty"`
	Promoted int           `json:"promoted,omitempty"` // stages up to this one are over, whatever the time
	Spent    time.Duration `json:"spent,omitempty"`    // of For, before Since
	Since    time.Time     `json:"since,omitzero"`     // since when the time runs; zero: it stands
}

// Share is what a service's release on trial gets in a stage.
type Share struct {
	Service string  `json:"service"`
	Release int     `json:"release"`
	Percent float64 `json:"percent"`
}

// Under says whether a stage is under way.
func (s Stage) Under() bool { return s.Number > 0 && s.Number <= s.Of }

// Left is how long the stage still takes, 0 where its time is over.
func (s Stage) Left(now time.Time) time.Duration {
	left := s.For - s.Spent
	if !s.Since.IsZero() {
		left -= now.Sub(s.Since)
	}
	return max(left, 0)
}

// Over says whether the stage goes on to the next now.
func (s Stage) Over(now time.Time) bool {
	return s.Promoted >= s.Number || !s.Paused && !s.Manual && s.Left(now) == 0
}

// Next is the stage that follows this one, as planned: it begins now, and stands
// where this one stood.
func (s Stage) Next(planned Stage, now time.Time) Stage {
	planned.Paused, planned.Promoted = s.Paused, s.Promoted
	planned.Spent, planned.Since = 0, now
	if planned.Paused {
		planned.Since = time.Time{}
	}
	return planned
}

// Again is the stage after a time in which nobody watched it: it begins anew.
func (s Stage) Again(now time.Time) Stage { return s.Next(s, now) }

// Pause is the stage with its time standing.
func (s Stage) Pause(now time.Time) Stage {
	if !s.Paused {
		s.Spent, s.Since, s.Paused = s.For-s.Left(now), time.Time{}, true
	}
	return s
}

// Resume is the stage with its time going on.
func (s Stage) Resume(now time.Time) Stage {
	if s.Paused {
		s.Since, s.Paused = now, false
	}
	return s
}

// Promote is the stage at its end, or with full the end of them all.
func (s Stage) Promote(full bool) Stage {
	s.Promoted = s.Number
	if full {
		s.Promoted, s.Paused = s.Of, false
	}
	return s
}

// String tells the stage without its time: "release 8: step 2 of 3, 25 %".
func (s Stage) String() string {
	releases := map[int]bool{}
	for _, x := range s.Shares {
		releases[x.Release] = true
	}
	text := fmt.Sprintf("step %d of %d, %s", s.Number, s.Of, s.Share())
	if len(releases) == 1 && s.Shares[0].Release > 0 {
		text = fmt.Sprintf("release %d: %s", s.Shares[0].Release, text)
	}
	return text
}

// Share tells what is on trial: "25 %", or by service where it differs.
func (s Stage) Share() string {
	if len(s.Shares) == 0 {
		return "nothing"
	}
	first := s.Shares[0].Percent
	if !slices.ContainsFunc(s.Shares, func(x Share) bool { return x.Percent != first }) {
		return PercentText(first)
	}
	var out []string
	for _, x := range s.Shares {
		out = append(out, x.Service+" "+PercentText(x.Percent))
	}
	return strings.Join(out, ", ")
}

// PercentText is a share for a person: "2.5 %".
func PercentText(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) + " %" }
