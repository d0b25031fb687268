package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"gesalp.example/stack/internal/api"
	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/queue/queuetest"
	"gesalp.example/stack/internal/worker"
)

const table = "age,city\n31,Bern\n42,Basel\n53,Bern\n"

// patient fails a test whose stream never ends.
var patient = &http.Client{Timeout: 20 * time.Second}

// site is an api that a test talks to over HTTP.
type site struct {
	*httptest.Server
	local *job.Local
	stop  context.CancelFunc // what SIGTERM does
}

func serve(t *testing.T, queue api.Jobs) *site {
	t.Helper()
	stop, cancel := context.WithCancel(context.Background())
	a := &api.API{
		Queue: queue, Local: job.NewLocal("7"), Release: "7", Stop: stop,
		Log: slog.New(slog.DiscardHandler), Patient: time.Second,
	}
	server := httptest.NewServer(a.Routes(http.NotFoundHandler()))
	t.Cleanup(func() { cancel(); server.Close(); a.Local.Wait() })
	return &site{server, a.Local, cancel}
}

// withWorker serves an api in front of a real queue and a worker.
func withWorker(t *testing.T) *site {
	t.Helper()
	server := queuetest.Start(t)
	ctx, stop := context.WithCancel(context.Background())
	w := &worker.Worker{
		Queue: server.Open("worker"), Name: "w1", Release: "7",
		Log: slog.New(slog.DiscardHandler), Patience: 10 * time.Second,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Errorf("worker: %v", err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return serve(t, server.Open("api"))
}

func (s *site) submit(t *testing.T, query string) job.Job {
	t.Helper()
	resp, body := s.post(t, "/jobs"+query, "text/csv", table)
	var j job.Job
	if err := json.Unmarshal([]byte(body), &j); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("submit: %s %s", resp.Status, body)
	}
	if loc := resp.Header.Get("Location"); loc != "/jobs/"+j.ID {
		t.Errorf("location %q", loc)
	}
	return j
}

func (s *site) post(t *testing.T, path, kind, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(s.URL+path, kind, strings.NewReader(body))
	return read(t, resp, err)
}

func (s *site) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	resp, err := patient.Get(s.URL + path)
	return read(t, resp, err)
}

func read(t *testing.T, resp *http.Response, err error) (*http.Response, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func (s *site) dial(t *testing.T, path string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestAPI_WholeJobOverQueueAndWorker(t *testing.T) {
	s := withWorker(t)
	j := s.submit(t, "?rows=20&chunk=2&pace=20ms")
	if resp, _ := s.get(t, "/jobs/"+j.ID+"/rows"); resp.StatusCode != http.StatusConflict {
		t.Errorf("rows before the end: %s", resp.Status)
	}
	_, events := s.get(t, "/jobs/"+j.ID+"/events")
	if n := strings.Count(events, "event: progress\n"); n < 2 {
		t.Errorf("%d reports of progress in\n%s", n, events)
	}
	if !strings.Contains(events, "event: done\n") || !strings.Contains(events, `"made":20`) {
		t.Errorf("no end in\n%s", events)
	}
	resp, rows := s.get(t, "/jobs/"+j.ID+"/rows")
	if resp.StatusCode != http.StatusOK || strings.Count(rows, "\n") != 21 || !strings.HasPrefix(rows, "age,city\n") {
		t.Errorf("rows: %s\n%s", resp.Status, rows)
	}
	if _, state := s.get(t, "/jobs/"+j.ID); !strings.Contains(state, `"worker":"w1"`) {
		t.Errorf("state %s", state)
	}
}

func TestAPI_RunsTheJobItselfWhileTheQueueIsAway(t *testing.T) {
	server := queuetest.Start(t)
	queue := server.Open("api")
	server.Stop()
	s := serve(t, queue)
	j := s.submit(t, "")
	conn := s.dial(t, "/jobs/"+j.ID+"/ws")
	var last struct {
		Phase job.Phase
		Made  int
	}
	var err error
	for err == nil {
		err = wsjson.Read(t.Context(), conn, &last)
	}
	if websocket.CloseStatus(err) != websocket.StatusNormalClosure || last.Phase != job.Done || last.Made != 3 {
		t.Errorf("ended with %v at %+v", err, last)
	}
	if resp, rows := s.get(t, "/jobs/"+j.ID+"/rows"); strings.Count(rows, "\n") != 4 {
		t.Errorf("rows: %s\n%s", resp.Status, rows)
	}
}

func TestAPI_TakesTableFromForm(t *testing.T) {
	s := serve(t, nil)
	form := "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.csv\"\r\n\r\n" + table + "\r\n--b--\r\n"
	if resp, body := s.post(t, "/jobs", "multipart/form-data; boundary=b", form); resp.StatusCode != http.StatusAccepted {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestAPI_RefusesWhatCannotBeDone(t *testing.T) {
	s := serve(t, nil)
	for name, c := range map[string]struct {
		path, kind, body string
		status           int
	}{
		"no table":      {"/jobs", "text/csv", "", 400},
		"ragged table":  {"/jobs", "text/csv", "a,b\n1\n", 400},
		"rows no count": {"/jobs?rows=x", "text/csv", table, 400},
		"too many rows": {"/jobs?rows=9999999", "text/csv", table, 400},
		"form no file":  {"/jobs", "multipart/form-data; boundary=b", "--b--\r\n", 400},
		"too large":     {"/jobs", "text/csv", "a\n" + strings.Repeat(strings.Repeat("x", 1023)+"\n", 33<<10), 413},
	} {
		t.Run(name, func(t *testing.T) {
			if resp, body := s.post(t, c.path, c.kind, c.body); resp.StatusCode != c.status {
				t.Errorf("%s %s, want %d", resp.Status, body, c.status)
			}
		})
	}
	if resp, _ := s.get(t, "/jobs/NONE"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown job: %s", resp.Status)
	}
}

func TestAPI_EchoGivesBodyAndItsSum(t *testing.T) {
	resp, body := serve(t, nil).post(t, "/echo", "text/plain", "hello")
	const sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	if body != "hello" || resp.Header.Get("X-Body-Sha256") != sum {
		t.Errorf("%q, sum %s", body, resp.Header.Get("X-Body-Sha256"))
	}
}

func TestAPI_AsksItsNeighboursAndSaysWhenOneDoesNotAnswerWell(t *testing.T) {
	var asked []string
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		fmt.Fprint(w, "good")
	}))
	defer good.Close()
	bad := httptest.NewServer(http.NotFoundHandler())
	defer bad.Close()
	queue := queuetest.Start(t)
	a := &api.API{
		Local: job.NewLocal("7"), Release: "7", Stop: t.Context(), Log: slog.New(slog.DiscardHandler),
		Queue: queue.Open("api"), Neighbours: api.Neighbours{Report: good.URL, Ollama: bad.URL},
	}
	s := &site{Server: httptest.NewServer(a.Routes(http.NotFoundHandler()))}
	defer s.Close()
	if resp, body := s.get(t, "/ask/report"); resp.StatusCode != http.StatusOK || body != "good" || len(asked) != 1 || asked[0] != "POST /reports" {
		t.Errorf("report: %s %s after %v", resp.Status, body, asked)
	}
	if resp, body := s.get(t, "/ask/ollama"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("ollama: %s %s, want 502", resp.Status, body)
	}
	if resp, body := s.get(t, "/ask/queue"); resp.StatusCode != http.StatusOK {
		t.Errorf("queue: %s %s", resp.Status, body)
	}
	queue.Stop()
	impatient := &http.Client{Timeout: 300 * time.Millisecond}
	if resp, err := impatient.Get(s.URL + "/ask/queue"); err == nil {
		resp.Body.Close()
		t.Errorf("queue, while it is away: %s at once", resp.Status)
	}
}

func TestAPI_UploadCountsBytes(t *testing.T) {
	_, body := serve(t, nil).post(t, "/upload", "application/octet-stream", strings.Repeat("x", 3<<20))
	if !strings.Contains(body, fmt.Sprintf(`"bytes":%d`, 3<<20)) {
		t.Errorf("answered %s", body)
	}
}

func TestAPI_EventStreamSaysByeOnStop(t *testing.T) {
	s := serve(t, nil)
	resp, err := patient.Get(s.URL + "/sse?interval=5ms")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	var names []string
	for in.Scan() {
		name, ok := strings.CutPrefix(in.Text(), "event: ")
		if !ok {
			continue
		}
		if names = append(names, name); len(names) == 3 {
			s.stop()
		}
	}
	if in.Err() != nil || len(names) < 4 || names[len(names)-1] != "bye" {
		t.Errorf("events %v, %v", names, in.Err())
	}
}

func TestAPI_JobEventsSayByeOnStop(t *testing.T) {
	s := serve(t, nil)
	j := s.submit(t, "?rows=10&chunk=1&pace=100ms")
	resp, err := patient.Get(s.URL + "/jobs/" + j.ID + "/events")
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, events := read(t, resp, nil); !strings.Contains(events, "event: bye\n") {
		t.Errorf("events\n%s", events)
	}
}

func TestAPI_SocketEchoesAndClosesAsGoingAwayOnStop(t *testing.T) {
	s := serve(t, nil)
	conn := s.dial(t, "/ws")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := conn.Read(ctx); err != nil || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	s.stop()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed with %v, want 1001", err)
	}
}
