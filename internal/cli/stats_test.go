package cli

import (
	"strings"
	"testing"
)

func TestPicture_FitsTheScreenAndLeavesNothingOfTheOneBefore(t *testing.T) {
	table := "HEAD\n" + strings.Repeat(strings.Repeat("x", 50)+"\n", 10)
	got := picture(table, []string{"traffic: away"}, 30, 6)
	lines := strings.Split(got, "\n")
	if len(lines) != 6 || !strings.HasPrefix(got, "\x1b[HHEAD\x1b[K\n") || !strings.HasSuffix(got, "\n\x1b[J") {
		t.Errorf("%d lines: %q", len(lines), got)
	}
	for _, l := range lines[1:5] {
		if text := strings.TrimSuffix(l, "\x1b[K"); len([]rune(text)) != 30 || !strings.HasSuffix(text, "…") {
			t.Errorf("%q", l)
		}
	}
	if got := picture("HEAD\n", []string{"traffic: away"}, 80, 24); !strings.Contains(got, "traffic: away\x1b[K\n") {
		t.Errorf("%q", got)
	}
}
