// Grpc answers /echo.Echo/Say on :9000 as gRPC does: HTTP/2 without TLS and nothing
// else, length-prefixed messages, the status in a trailer. It is without the
// module, as what passes through a proxy is all that matters.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	srv := &http.Server{Addr: ":9000", Handler: http.HandlerFunc(say), Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(ending)
	})
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		slog.Error("stopped", "err", err)
		os.Exit(1)
	}
}

// say sends every message back as it comes.
func say(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("X-Release", os.Getenv("RELEASE"))
	if r.URL.Path != "/echo.Echo/Say" {
		h.Set("Grpc-Status", "12") // unimplemented
		return
	}
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n])
			_ = rc.Flush()
		}
		if err == io.EOF {
			h.Set(http.TrailerPrefix+"Grpc-Status", "0")
			return
		}
		if err != nil {
			h.Set(http.TrailerPrefix+"Grpc-Status", "13") // internal
			return
		}
	}
}
