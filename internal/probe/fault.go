package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// fault says what is wrong with the container, if anything: it exited, was
// restarted, or is unhealthy by its own healthcheck, whatever we ask ourselves.
func (a *attempt) fault(r steady.Replica) error {
	switch {
	case r.State == steady.StateExited, r.State == steady.StateDead, r.State == steady.StateRestarting:
		return a.exited(r)
	case r.Restarts > a.restarts:
		return a.error(steady.ErrExited, fmt.Sprintf("%s exited and was restarted by the Engine, %s", a.name, times(r.Restarts-a.restarts)))
	case !r.Started.Equal(a.replica.Started): // its address may be another's by now
		return a.error(steady.ErrExited, a.name+" was stopped and started again by someone else")
	case r.Health == steady.HealthUnhealthy && !a.probe.Sick:
		text := a.name + " is unhealthy by its own healthcheck"
		if r.Check != "" {
			text += ": " + brief(r.Check)
		}
		return a.error(steady.ErrUnhealthy, text)
	}
	return nil
}

func (a *attempt) exited(r steady.Replica) *steady.Error {
	text := fmt.Sprintf("%s exited with code %d", a.name, r.ExitCode)
	if r.OOM {
		text = fmt.Sprintf("%s was killed for want of memory (exit code %d)", a.name, r.ExitCode)
	}
	return a.error(steady.ErrExited, text)
}

// notReady is what the deadline makes of the answers heard.
func (a *attempt) notReady() *steady.Error {
	if a.reach != nil && a.replica.Running() {
		return a.reach.unreachable()
	}
	text := a.name + " " + a.heard.during(time.Since(a.heard.since), a.probe.Rise)
	if port, err := strconv.ParseUint(a.port(), 10, 16); err == nil && strings.HasPrefix(a.heard.last.text, refused) {
		if why := a.socketsOf(a.replica).why(uint16(port), "tcp"); why != "" {
			text += ": " + why
		}
	}
	if detail := a.heard.last.detail; detail != "" {
		text += ": " + detail
	}
	return a.error(steady.ErrNotReady, text)
}

// error is about the replica, with the command that shows its logs.
func (a *attempt) error(code *steady.Error, text string) *steady.Error {
	hint := "steady logs " + a.replica.Service
	switch {
	case a.replica.Service == "": // never seen, or none of a service's
		hint = "docker logs " + a.name
	case a.replica.Release > 0:
		hint = fmt.Sprintf("%s --release %d", hint, a.replica.Release)
	}
	e := code.With(text, hint)
	e.Service, e.Release = a.replica.Service, a.replica.Release
	return e
}

// told adds the container's last log lines to what is told of it. Without them the
// error still stands.
func (a *attempt) told(ctx context.Context, err error) error {
	var e *steady.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case steady.ErrExited.Code, steady.ErrUnhealthy.Code, steady.ErrNotReady.Code, steady.ErrUnreachable.Code:
	default: // not of what the container did
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	if lines, err := a.engine.Tail(ctx, a.name, tailLines); err == nil {
		e.Tail = lines
	}
	return e
}

// short tells a span in a few characters: "340ms", "1.4s", "2m".
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}
