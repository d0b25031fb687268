package cli

import (
	"context"

	"gesalpai.ch/steady"
)

func (s *session) runDaemon(context.Context, serviceFlags, bool) error {
	return steady.ErrUnsupported.With("the daemon is not built in yet", "")
}

func (s *session) runProxy(context.Context, serviceFlags) error {
	return steady.ErrUnsupported.With("the proxy is not built in yet", "")
}
