// Command stub stands for the programs of the corpus in images FROM scratch: it
// listens where it is told, ends when it is told to, and is every other program that a
// healthcheck or an entrypoint names.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// entrypoint is the image's; what has another name is run by a healthcheck, unless it
// is the container's first process, or an init's first child.
const entrypoint = "/app"

func main() {
	first := os.Args[0] == entrypoint || os.Getpid() == 1 || os.Getppid() == 1
	if !first || slices.ContainsFunc(os.Args, job) {
		return
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	for port := range strings.SplitSeq(os.Getenv("STUB_PORTS"), ",") {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		go func() { _ = http.Serve(l, http.HandlerFunc(answer)) }()
	}
	<-end
}

// job says whether an argument is that of a job of the corpus, which ends at once.
func job(arg string) bool { return arg == "migrate" || strings.Contains(arg, "rs.initiate") }

// answer is what every healthcheck of the corpus looks for.
func answer(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "OK installed PONG") }
