// Command assets is a web app whose one file is named after its release, as what a
// bundler makes is named after its content.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	release := os.Getenv("RELEASE")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /echo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Release", release)
		fmt.Fprintf(w, "<script src=/static/app.%s.js></script>", release)
	})
	mux.HandleFunc("GET /static/app."+release+".js", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "release %s", release)
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { _ = http.ListenAndServe(":8000", mux) }()
	<-ctx.Done()
}
