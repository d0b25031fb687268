package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// stubEngine is an Engine with one running container that has written one line.
func stubEngine(t *testing.T) *Engine {
	t.Helper()
	labels := map[string]string{labelProject: "shop", labelService: "api"}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			_ = json.NewEncoder(w).Encode([]any{map[string]any{"Id": "c1", "Labels": labels}})
		case strings.HasSuffix(r.URL.Path, "/c1/json"):
			_ = json.NewEncoder(w).Encode(map[string]any{"Id": "c1", "Name": "/shop-api-1-1", "State": map[string]any{"Status": "running"},
				"HostConfig": map[string]any{}, "Config": map[string]any{"Tty": true, "Labels": labels}})
		case strings.HasSuffix(r.URL.Path, "/c1/logs"):
			fmt.Fprintln(w, "2026-01-02T03:04:05.000000006Z again")
		}
	}))
	t.Cleanup(srv.Close)
	e, err := New(Options{Host: "tcp" + strings.TrimPrefix(srv.URL, "http")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// A container that is restarted starts before the Engine has ended the stream of
// its log: the look that its start asks for finds it still being read.
func TestFollower_ReadsOnWhereAContainerStartedBeforeItsLogEnded(t *testing.T) {
	f := &follower{engine: stubEngine(t), query: steady.LogQuery{Project: "shop", Follow: true, Tail: -1}, begun: true,
		lines: make(chan told), ended: make(chan string),
		reading: map[string]bool{"c1": true}, again: map[string]bool{}, last: map[string]time.Time{}}
	defer f.readers.Wait()
	if err := f.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.end(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	if !f.reading["c1"] {
		t.Fatal("the container is read no more")
	}
	if got := <-f.lines; got.id != "c1" || got.line.Text != "again" || got.line.Replica != "shop-api-1-1" {
		t.Errorf("line %+v", got)
	}
	<-f.ended
}
