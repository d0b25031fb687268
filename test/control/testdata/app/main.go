// App answers what the rig asks and logs each request's id. It ends as well as
// net/http lets a server end.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/ws", ws)
	mux.HandleFunc("/sse", func(w http.ResponseWriter, r *http.Request) { sse(ctx, w) })
	srv := &http.Server{Addr: cmp.Or(os.Getenv("ADDR"), ":8000"), Handler: logged(os.Getenv("RELEASE"), mux)}
	go srv.ListenAndServe()
	<-ctx.Done()
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	srv.Shutdown(grace)
}

func logged(release string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Release", release)
		fmt.Printf("id=%s path=%s release=%s\n", r.Header.Get("X-Request-Id"), r.URL.Path, release)
		next.ServeHTTP(w, r)
	})
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		w.Write(body)
	}
}

func slow(w http.ResponseWriter, r *http.Request) {
	d, _ := time.ParseDuration(r.URL.Query().Get("d"))
	time.Sleep(d)
}

func ws(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, text, err := c.Read(context.Background())
		if err != nil || c.Write(context.Background(), kind, text) != nil {
			return
		}
	}
}

func sse(ctx context.Context, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 0; ; n++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: tick\n\n", n); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
