package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gesalpai.ch/steady"
)

// complain tells a person, and with --json a machine too, why a command failed.
func (s *session) complain(err error) {
	var told *discovered
	if err == nil || errors.Is(err, errInterrupted) || errors.Is(err, errChanges) || errors.As(err, &told) {
		return
	}
	e := steady.AsError(err)
	var u *unfinished
	ended := errors.As(err, &u)
	if s.json() && !ended { // the stream's last event has told the rest
		s.print(object(map[string]*steady.Error{"error": e}))
	}
	style := s.errStyle()
	first, more, _ := strings.Cut(sentence(e, u), "\n")
	s.say(style.red("error:") + " " + printable(first))
	if more != "" {
		fmt.Fprintln(s.err, "  "+strings.ReplaceAll(more, "\n", "\n  "))
	}
	for _, line := range e.Tail {
		fmt.Fprintln(s.err, "  "+style.dim(printable(line)))
	}
	if e.Serving > 0 && (u == nil || u.state != steady.RolloutPaused) {
		s.say(fmt.Sprintf("release %d is still serving", e.Serving))
	}
	if hint := hintOf(e, u); hint != "" {
		s.say(style.dim("hint:") + " " + hint)
	}
}

// hintOf is the command to run next: the error's own, else what its kind suggests.
func hintOf(e *steady.Error, u *unfinished) string {
	switch {
	case e.Hint != "":
		return e.Hint
	case e.Code == steady.ErrNoEngine.Code:
		return "docker info"
	case e.Code == steady.ErrStore.Code:
		return "df -h"
	case e.Code == steady.ErrNoProxy.Code:
		return "steady version"
	case e.Code == steady.ErrBusy.Code:
		return "steady watch, or steady deploy --wait-lock 5m"
	case u != nil:
		return "steady status"
	}
	return ""
}

// sentence says first what was not done, then why.
func sentence(e *steady.Error, u *unfinished) string {
	if u == nil || e.Service == "" {
		return e.Text
	}
	ref := u.project + "/" + e.Service
	if e.Release > 0 {
		ref = fmt.Sprintf("%s release %d", ref, e.Release)
	}
	what := map[string]string{
		steady.RolloutFailed: "not deployed", steady.RolloutAborted: "not deployed",
		steady.RolloutRolledBack: "rolled back", steady.RolloutPaused: "paused",
	}[u.state]
	if what == "" || strings.Contains(e.Text, what) {
		return e.Text
	}
	return ref + " " + what + ": " + e.Text
}

// say writes one line about the work, not of the answer.
func (s *session) say(text string) { fmt.Fprintln(s.err, "steady: "+text) }

func (s *session) warn(text string) {
	s.say(s.errStyle().yellow("warning:") + " " + text)
}

// print writes one line of the answer.
func (s *session) print(text string) { fmt.Fprintln(s.out, text) }

// object is v as one line of JSON.
func object(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf(`{"error":{"code":"internal","text":%q}}`, err.Error())
	}
	return string(b)
}
