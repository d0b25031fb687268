package cli

import (
	"testing"
	"time"
)

func TestSpan_RoundsToWhatAPersonReads(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                          "0ms",
		0:                                     "0ms",
		300 * time.Microsecond:                "<1ms",
		31 * time.Millisecond:                 "31ms",
		999 * time.Millisecond:                "999ms",
		999900 * time.Microsecond:             "1s",
		14237 * time.Millisecond:              "14.2s",
		10 * time.Second:                      "10s",
		59*time.Second + 980*time.Millisecond: "1m00s",
		125 * time.Second:                     "2m05s",
		time.Hour - 100*time.Millisecond:      "1h00m",
		time.Hour + 2*time.Minute + 20*time.Second: "1h02m",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestAge_TakesTheLargestUnit(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		-time.Hour: "0s", 12 * time.Second: "12s", 90 * time.Second: "1m", 5 * time.Hour: "5h", 47 * time.Hour: "47h", 72 * time.Hour: "3d",
	} {
		if got := age(now, now.Add(-ago)); got != want {
			t.Errorf("%v: %s, want %s", ago, got, want)
		}
	}
	if got := age(now, time.Time{}); got != "-" {
		t.Errorf("never: %s", got)
	}
}

func TestNumber_GroupsThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 3310: "3,310", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := number(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := count(1, "request"); got != "1 request" {
		t.Error(got)
	}
}

func TestNearest_FindsWhatWasMeantOrNothing(t *testing.T) {
	known := []string{"api", "report-service", "synth-worker", "ollama"}
	for word, want := range map[string]string{
		"apii": "api", "report-servce": "report-service", "olama": "ollama", "synthworker": "synth-worker", "x": "", "database": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestSinceTime_ReadsWhatDockerReads(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"":                     {},
		"10m":                  now.Add(-10 * time.Minute),
		"2026-10-31T08:00:00Z": time.Date(2026, 10, 31, 8, 0, 0, 0, time.UTC),
		"2026-10-31T08:00:00":  time.Date(2026, 10, 31, 8, 0, 0, 0, time.UTC),
		"2026-10-31":           time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC),
		"1793448000":           time.Unix(1793448000, 0),
	} {
		if got, err := sinceTime(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
}
