package probe

import (
	"context"
	"fmt"
	"strings"

	"gesalpai.ch/steady"
)

// askExec is the question of an exec probe: does the command exit 0?
func (a *attempt) askExec(ctx context.Context) (answer, error) {
	command := a.program()
	exit, output, err := a.engine.Exec(ctx, a.name, a.probe.Command)
	switch {
	case ctx.Err() != nil:
		return answer{text: fmt.Sprintf("did not end %q within %s", command, short(a.probe.Timeout))}, nil
	case err != nil:
		return answer{text: fmt.Sprintf("could not run %q: %v", command, err)}, nil
	case exit != 0:
		return answer{text: fmt.Sprintf("answered exit code %d to %q", exit, command), detail: lastLine(output)}, nil
	}
	return answer{good: true, text: "exit 0 " + command}, nil
}

// program names the probe's command and nothing of its arguments. A shell's line is
// known by what it runs first.
func (a *attempt) program() string {
	argv := a.probe.Command
	line := len(argv) == 3 && argv[0] == "/bin/sh" && argv[1] == "-c"
	return steady.Program(argv, line)
}

// lastLine is the last line that is not blank.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return brief(strings.TrimSpace(lines[len(lines)-1]))
}

// brief cuts a text so that it fits into a sentence.
func brief(text string) string {
	const most = 120
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}
