package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"gesalpai.ch/steady"
)

// budget is how much a rollout may lose, as --loss-budget says: a number, or a
// share of the requests. The zero value asks for nothing.
type budget struct {
	text    string
	losses  int64
	percent float64
}

func (b *budget) String() string { return b.text }
func (b *budget) Type() string   { return "string" }

func (b *budget) Set(text string) error {
	share, percent := strings.CutSuffix(text, "%")
	if percent {
		v, err := strconv.ParseFloat(share, 64)
		if err != nil || math.IsNaN(v) || v < 0 || v > 100 {
			return fmt.Errorf("%q is no share from 0%% to 100%%", text)
		}
		*b = budget{text: text, percent: v}
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is neither a number such as 5 nor a share such as 0.1%%", text)
	}
	*b = budget{text: text, losses: n}
	return nil
}

// addBudget adds the flag to a command that ends with a receipt.
func (s *session) addBudget(f *pflag.FlagSet) { addBudget(f, &s.budget) }

func addBudget(f *pflag.FlagSet, b *budget) {
	f.Var(b, "loss-budget", "exit 5 where more than `budget` was lost, requests lost and streams cut together: a number such as 0, or a share of the requests such as 0.1%")
}

// allows says whether so much may be lost. Where no request was counted, as of TCP,
// a share is one of the streams begun.
func (b budget) allows(l steady.Losses) bool {
	of := l.Requests
	if of == 0 {
		of = l.Streams
	}
	if strings.HasSuffix(b.text, "%") {
		return float64(l.Sum())*100 <= b.percent*float64(of)
	}
	return l.Sum() <= b.losses
}

// check is steady.ErrLossBudget where more was lost than the budget allows, or
// where that cannot be known.
func (b budget) check(r steady.Rollout, receipt *steady.Receipt) error {
	if b.text == "" || receipt == nil || r.State == steady.RolloutUnchanged {
		return nil
	}
	l := receipt.Losses()
	hint := fmt.Sprintf("steady receipt %d", r.ID)
	if !b.allows(l) {
		return steady.ErrLossBudget.With(fmt.Sprintf("past the loss budget of %s: %s", b.text, lossText(l)), hint)
	}
	if len(receipt.Missed) > 0 {
		return steady.ErrLossBudget.With(fmt.Sprintf("whether the loss budget of %s was kept is not known: %s", b.text, missedText(receipt.Missed[0])), hint)
	}
	return nil
}

// lossText is "3 requests lost and 1 stream cut, of 3,310 requests".
func lossText(l steady.Losses) string {
	var parts []string
	if l.Lost > 0 {
		parts = append(parts, count(l.Lost, "request")+" lost")
	}
	if l.StreamsCut > 0 {
		parts = append(parts, count(l.StreamsCut, "stream")+" cut")
	}
	return strings.Join(parts, " and ") + ", of " + count(l.Requests, "request")
}

// missedText says what was not counted, and why.
func missedText(m steady.Missed) string {
	text := fmt.Sprintf("nothing was counted from %s to %s, as the proxy ended or did not answer", clock(m.From), clock(m.To))
	if m.Open != (steady.Open{}) {
		text += fmt.Sprintf("; %s and %s were in flight then", count(int64(m.Open.Requests), "request"), count(int64(m.Open.Streams), "stream"))
	}
	return text
}
