package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"gesalpai.ch/steady"
)

// httpStatus gives the HTTP status that fits an error's code. The code in the
// body is what counts; the status is for curl and for logs.
func httpStatus(e *steady.Error) int {
	switch e.Code {
	case steady.ErrUsage.Code, steady.ErrCompose.Code, steady.ErrUnsupported.Code:
		return http.StatusBadRequest
	case steady.ErrNoService.Code, steady.ErrNoProject.Code, steady.ErrNoRelease.Code,
		steady.ErrNoRollout.Code, steady.ErrNoReplica.Code, steady.ErrNoSite.Code:
		return http.StatusNotFound
	case steady.ErrBusy.Code, steady.ErrNotRunning.Code, steady.ErrAborted.Code, steady.ErrPortTaken.Code, steady.ErrSiteTaken.Code, steady.ErrRouteTaken.Code:
		return http.StatusConflict
	case steady.ErrNoImage.Code, steady.ErrBuild.Code, steady.ErrExited.Code,
		steady.ErrNotReady.Code, steady.ErrUnhealthy.Code, steady.ErrUnreachable.Code, steady.ErrNginx.Code, steady.ErrCertificate.Code:
		return http.StatusUnprocessableEntity
	case steady.ErrNoEngine.Code, steady.ErrNoProxy.Code, steady.ErrNoDaemon.Code:
		return http.StatusServiceUnavailable
	case steady.ErrStore.Code:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// readError makes the error of an answer that is not a success.
func readError(status string, body []byte) error {
	var e steady.Error
	if json.Unmarshal(body, &e) == nil && e.Code != "" {
		return &e
	}
	return steady.ErrInternal.With(fmt.Sprintf("the daemon answered %s", status), "steady version")
}
