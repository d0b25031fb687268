package steady_test

import (
	"testing"

	"gesalpai.ch/steady"
)

func TestProgram_TellsNothingOfTheArguments(t *testing.T) {
	line := func(s string) []string { return []string{"/bin/sh", "-c", s} }
	for _, c := range []struct {
		argv  []string
		shell bool
		want  string
	}{
		{[]string{"redis-cli", "-a", "hunter2", "ping"}, false, "redis-cli"},
		{[]string{"/usr/bin/pg_isready", "-U", "app"}, false, "pg_isready"},
		{[]string{"redis-cli -a hunter2 ping"}, false, "redis-cli"},
		{[]string{"REDISCLI_AUTH=hunter2", "redis-cli"}, false, "redis-cli"},
		{line("redis-cli -a hunter2 ping || exit 1"), true, "redis-cli"},
		{line("  REDISCLI_AUTH=hunter2 redis-cli ping"), true, "redis-cli"},
		{line(`PASS="hunter2 and more" redis-cli ping`), true, "a command"},
		{line(`PASS=$(cat /hunter2) redis-cli ping`), true, "a command"},
		{line(`"$HUNTER2" ping`), true, "a command"},
		{line(`[ "$(redis-cli -a hunter2 ping)" = PONG ]`), true, "["},
		{line(`$(hunter2)`), true, "a command"},
		{[]string{"./migrate.sh", "--token", "hunter2"}, false, "migrate.sh"},
		{[]string{"sh", "-c", "echo hunter2"}, false, "sh"},
		{[]string{"ONLY=hunter2"}, false, "a command"},
		{[]string{"https://app:hunter2@host/run"}, false, "a command"},
		{nil, true, "a command"},
		{nil, false, "a command"},
	} {
		if got := steady.Program(c.argv, c.shell); got != c.want {
			t.Errorf("Program(%q, %t) = %q, want %q", c.argv, c.shell, got, c.want)
		}
	}
}
