package cli

import (
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestReceiptText_TellsOfAGateAndOfWhatFoundNoReplica(t *testing.T) {
	x := steady.Receipt{Project: "shop", Took: 3 * time.Second, Services: []steady.ServiceReceipt{{
		Service: "db", From: 1, To: 2, Strategy: steady.StrategyHold, Gap: 2100 * time.Millisecond,
		Releases: map[int]steady.Counts{0: {Requests: 4, Lost: 4, Held: 300, Turned: 4}, 2: {Requests: 1}},
		Answers:  map[int]steady.Answers{0: {Waits: steady.Histogram{time.Second: 200, 2 * time.Second: 100}, LongestWait: 1900 * time.Millisecond}},
	}}}
	got := receiptText(steady.Rollout{ID: 3, Project: "shop", Kind: "deploy", State: steady.RolloutDone, Receipt: &x}, style{})
	for _, want := range []string{
		"db       none     4 ", "held    300 waited, half of them up to 988ms, the longest 1.9s; 4 turned away", "gap     2.1s without a replica", "counted 5 requests, 4 lost\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
}

func TestReceiptText_AFailedRolloutSaysWhy(t *testing.T) {
	r := steady.Rollout{ID: 3, Project: "shop", State: steady.RolloutFailed, Receipt: &steady.Receipt{}, Error: steady.ErrNotReady.With("api-2-1 answered\x1b[31m 503", "")}
	got := receiptText(r, style{})
	if !strings.Contains(got, "failed  api-2-1 answered") || strings.Contains(got, "\x1b") || !strings.Contains(got, "nothing was changed") {
		t.Errorf("%q", got)
	}
}

func TestTally_WhereSomeWasNotCountedNothingIsSaidToBeWhole(t *testing.T) {
	got := tallied(steady.Receipt{Missed: []steady.Missed{{}}, Services: []steady.ServiceReceipt{{Releases: map[int]steady.Counts{1: {Requests: 9}}}}})
	if got != ": 9 requests, none lost of what was counted" {
		t.Errorf("%q", got)
	}
}

func TestBudget_IsKeptToTheLastRequest(t *testing.T) {
	for _, c := range []struct {
		text string
		l    steady.Losses
		want bool
	}{
		{"0", steady.Losses{Requests: 10}, true},
		{"0", steady.Losses{Requests: 10, StreamsCut: 1}, false},
		{"0", steady.Losses{Requests: 10, StreamsClosed: 5, StreamsQuiet: 5}, true},
		{"2", steady.Losses{Requests: 10, Lost: 1, Cut: 1, StreamsCut: 1}, true},
		{"0%", steady.Losses{Requests: 10}, true},
		{"0.1%", steady.Losses{Requests: 1000, Lost: 1}, true},
		{"0.1%", steady.Losses{Requests: 999, Lost: 1}, false},
		{"50%", steady.Losses{Streams: 4, StreamsCut: 2}, true},
		{"49%", steady.Losses{Streams: 4, StreamsCut: 2}, false},
		{"100%", steady.Losses{StreamsCut: 1}, false},
	} {
		var b budget
		if err := b.Set(c.text); err != nil {
			t.Fatal(err)
		}
		if got := b.allows(c.l); got != c.want {
			t.Errorf("%s allows %+v: %v", c.text, c.l, got)
		}
	}
	for _, wrong := range []string{"", "-1", "x", "1.5", "%", "-0.1%", "NaN%", "101%"} {
		if err := new(budget).Set(wrong); err == nil {
			t.Errorf("%q is a budget", wrong)
		}
	}
}

func TestNoticed_SaysOfAHoldHowLongItWasTheLastTime(t *testing.T) {
	for want, v := range map[string]steady.ServicePlan{
		"they wait": {Strategy: steady.StrategyHold, Notice: "they wait"},
		"they wait; the longest wait was 1.1s the last time": {Strategy: steady.StrategyHold, Notice: "they wait", Last: &steady.LastTime{LongestWait: 1100 * time.Millisecond, Gap: 2 * time.Second}},
		"they wait; nobody served for 2s the last time":      {Strategy: steady.StrategyHold, Notice: "they wait", Last: &steady.LastTime{Gap: 2 * time.Second}},
		"the gap: about 2s, as last time":                    {Strategy: steady.StrategyStopFirst, Notice: "the gap", Last: &steady.LastTime{Gap: 2 * time.Second}},
	} {
		if got := noticed(v); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReceiptText_SaysHeldWhereWhatComesWaits(t *testing.T) {
	if held, gap := shiftText(steady.ServiceShift{Held: true}), shiftText(steady.ServiceShift{}); held != "held" || gap != "to nobody" {
		t.Errorf("%q and %q", held, gap)
	}
}
