package steady

import "errors"

// Error is what a person is told: one sentence, a hint, and a code by which a
// caller tells one kind from another, also across the API's socket.
type Error struct {
	Code    string   `json:"code"`
	Text    string   `json:"text"`              // what went wrong, lower case, no full stop
	Hint    string   `json:"hint,omitempty"`    // the command to run next
	Service string   `json:"service,omitempty"` // concerned, if one is
	Release int      `json:"release,omitempty"`
	Serving int      `json:"serving,omitempty"` // release that still serves
	Tail    []string `json:"tail,omitempty"`    // last log lines of a container that died
}

func (e *Error) Error() string { return e.Text }

// Is makes errors.Is(err, steady.ErrBusy) true for every error with that code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// With wraps text and hint around a sentinel's code.
func (e *Error) With(text, hint string) *Error {
	return &Error{Code: e.Code, Text: text, Hint: hint}
}

// Sentinels: what a caller must tell apart.
var (
	ErrUsage       = &Error{Code: "usage", Text: "wrong usage"}
	ErrCompose     = &Error{Code: "compose", Text: "the Compose file does not load"}
	ErrNoService   = &Error{Code: "no-service", Text: "no such service"}
	ErrNoProject   = &Error{Code: "no-project", Text: "no such project"}
	ErrNoRelease   = &Error{Code: "no-release", Text: "no such release"}
	ErrNoRollout   = &Error{Code: "no-rollout", Text: "no such rollout"}
	ErrNotRunning  = &Error{Code: "not-running", Text: "no such rollout is under way"}
	ErrNoReplica   = &Error{Code: "no-replica", Text: "no such container"}
	ErrNoImage     = &Error{Code: "no-image", Text: "image not found"}
	ErrBuild       = &Error{Code: "build", Text: "build failed"}
	ErrExited      = &Error{Code: "exited", Text: "container exited"}
	ErrNotReady    = &Error{Code: "not-ready", Text: "replica did not become ready"}
	ErrUnhealthy   = &Error{Code: "unhealthy", Text: "container is unhealthy"}
	ErrUnreachable = &Error{Code: "unreachable", Text: "nobody can reach the release"}
	ErrWorse       = &Error{Code: "worse", Text: "the release does worse than the one before"}
	ErrPortTaken   = &Error{Code: "port-taken", Text: "port is taken"}
	ErrRouteTaken  = &Error{Code: "route-taken", Text: "a host and path is claimed twice"}
	ErrCertificate = &Error{Code: "certificate", Text: "a certificate cannot be used"}
	ErrOrphan      = &Error{Code: "orphan", Text: "a service that is not in the Compose file any more is in the way"}
	ErrHook        = &Error{Code: "hook", Text: "a hook failed"}
	ErrBusy        = &Error{Code: "busy", Text: "another rollout runs"}
	ErrAborted     = &Error{Code: "aborted", Text: "rollout was aborted"}
	ErrNoEngine    = &Error{Code: "no-engine", Text: "no Docker Engine answers"}
	ErrNoDaemon    = &Error{Code: "no-daemon", Text: "no steady daemon answers"}
	ErrNoProxy     = &Error{Code: "no-proxy", Text: "the proxy does not answer"}
	ErrStore       = &Error{Code: "store", Text: "the store cannot be written"}
	ErrNginx       = &Error{Code: "nginx", Text: "nginx does not take the site"}
	ErrSiteTaken   = &Error{Code: "site-taken", Text: "the site is another's"}
	ErrNoSite      = &Error{Code: "no-site", Text: "no such site"}
	ErrLossBudget  = &Error{Code: "loss-budget", Text: "more was lost than the budget allows"}
	ErrUnsupported = &Error{Code: "unsupported", Text: "not supported"}
	ErrInternal    = &Error{Code: "internal", Text: "internal error"}
)

// AsError gives any error a code: its own where it has one, ErrInternal's else.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Text == err.Error() {
			return e
		}
		c := *e
		c.Text = err.Error()
		return &c
	}
	return &Error{Code: ErrInternal.Code, Text: err.Error()}
}
