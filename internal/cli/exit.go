package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gesalpai.ch/steady"
)

// Exit statuses: a contract with scripts.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitNotDeployed = 3
	exitRolledBack  = 4
	exitLossBudget  = 5
	exitPaused      = 6
	exitNoDaemon    = 10
	exitBusy        = 11
	exitNoEngine    = 12
	exitStore       = 13
	exitNoProxy     = 14
	exitNginx       = 15
	exitWarnings    = 20
	exitErrors      = 21
	exitChanges     = 22
	exitUnfit       = 23
	exitInterrupted = 130
)

// exitMeaning is the contract in words, in the order of the reference.
func exitMeaning() []struct {
	code    int
	meaning string
} {
	return []struct {
		code    int
		meaning string
	}{
		{exitDone, "done, or nothing to do"},
		{exitError, "any other error"},
		{exitUsage, "wrong usage: flags, a Compose file that does not load, an unknown service, project, release, rollout or site, a site that is another's"},
		{exitNotDeployed, "not deployed, or aborted: the old release serves"},
		{exitRolledBack, "rolled back after the shift: the old release serves again"},
		{exitLossBudget, "done, but past the loss budget, or whether it was kept is not known"},
		{exitPaused, "failed after the shift with failure_action: pause: both releases are there"},
		{exitNoDaemon, "no steady daemon answers"},
		{exitBusy, "another rollout runs, or somebody has locked the project"},
		{exitNoEngine, "no Docker Engine answers"},
		{exitStore, "the daemon's store cannot be written, for example because the disk is full; what serves goes on, steady status tells which release"},
		{exitNoProxy, "the proxy does not answer"},
		{exitNginx, "nginx is missing, fails its test, or does not take a site; a site is then as it was before"},
		{exitWarnings, "check or doctor: done, and the worst it found is a warning (check --fail-on info: or less)"},
		{exitErrors, "check or doctor: done, and it found an error"},
		{exitChanges, "plan or deploy --dry-run with --detailed-exitcode: there is something to do"},
		{exitUnfit, "drill: nothing was rolled out, as the load is lost or does not reach the service even without a rollout"},
		{exitInterrupted, "interrupted; a rollout that runs goes on"},
	}
}

// errInterrupted is a command that a signal ended.
var errInterrupted = errors.New("interrupted")

// errChanges is a plan that has something to do, which has been told.
var errChanges = errors.New("there is something to do")

// unfinished is the end of a rollout that is not what was asked for.
type unfinished struct {
	project string
	state   string // as in steady.Rollout
	cause   *steady.Error
}

func (u *unfinished) Error() string { return u.cause.Error() }
func (u *unfinished) Unwrap() error { return u.cause }

// exitCode is the one place where errors become exit statuses.
func exitCode(err error) int {
	var u *unfinished
	errors.As(err, &u)
	var d *discovered
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &d) && d.worst == steady.Failure:
		return exitErrors
	case errors.As(err, &d):
		return exitWarnings
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case isAny(err, steady.ErrStore): // however it ended: the release is not at fault
		return exitStore
	case u != nil && u.state == steady.RolloutRolledBack:
		return exitRolledBack
	case u != nil && u.state == steady.RolloutPaused:
		return exitPaused
	case errors.Is(err, errUnfit):
		return exitUnfit
	case errors.Is(err, errChanges):
		return exitChanges
	case isAny(err, steady.ErrLossBudget):
		return exitLossBudget
	case isAny(err, steady.ErrNoDaemon):
		return exitNoDaemon
	case isAny(err, steady.ErrNoEngine):
		return exitNoEngine
	case isAny(err, steady.ErrNoProxy):
		return exitNoProxy
	case isAny(err, steady.ErrNginx):
		return exitNginx
	case u != nil:
		return exitNotDeployed
	case isAny(err, steady.ErrBusy):
		return exitBusy
	case isAny(err, steady.ErrUsage, steady.ErrCompose, steady.ErrUnsupported,
		steady.ErrNoService, steady.ErrNoProject, steady.ErrNoRelease, steady.ErrNoRollout, steady.ErrNoSite, steady.ErrSiteTaken):
		return exitUsage
	case isAny(err, steady.ErrNoImage, steady.ErrBuild, steady.ErrExited, steady.ErrNotReady,
		steady.ErrUnhealthy, steady.ErrUnreachable, steady.ErrPortTaken, steady.ErrRouteTaken, steady.ErrCertificate, steady.ErrOrphan, steady.ErrHook, steady.ErrAborted):
		return exitNotDeployed
	}
	return exitError
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// isCoded says whether an error is one of ours.
func isCoded(err error) bool {
	var e *steady.Error
	return errors.As(err, &e)
}

// exitHelp is the part of every help text that tells the exit statuses.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("\nExit status:\n")
	for _, e := range exitMeaning() {
		fmt.Fprintf(&b, "  %-4d %s\n", e.code, e.meaning)
	}
	return b.String()
}
