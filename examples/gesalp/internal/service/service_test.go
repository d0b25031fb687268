package service_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gesalp.example/stack/internal/service"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a service and the ways to stop it and to wait for its end.
type running struct {
	url   string
	log   *lines
	stop  context.CancelFunc
	ended chan error
}

func run(t *testing.T, s *service.Service, h http.Handler) *running {
	t.Helper()
	addr := make(chan string, 1)
	r := &running{log: &lines{}, ended: make(chan error, 1)}
	s.Addr, s.Release, s.Lines, s.Listening = "127.0.0.1:0", "7", r.log, func(a string) { addr <- a }
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.ended <- s.Run(ctx, h) }()
	t.Cleanup(func() { r.stop(); <-done })
	r.url = "http://" + <-addr
	return r
}

func get(url, id string) (*http.Response, string, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	if id != "" {
		req.Header.Set(service.IDHeader, id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestService_EveryAnswerNamesTheRelease(t *testing.T) {
	r := run(t, &service.Service{Grace: time.Second}, http.NotFoundHandler())
	resp, _, err := get(r.url, "")
	if err != nil || resp.Header.Get("X-Release") != "7" {
		t.Errorf("%v, %v", resp, err)
	}
	if r.log.String() != "" {
		t.Errorf("a request without id was logged: %q", r.log)
	}
}

func TestService_OneLinePerRequestWithID(t *testing.T) {
	r := run(t, &service.Service{Grace: time.Second}, http.NotFoundHandler())
	if _, _, err := get(r.url+"/a%20b?c=d", "x 1\tstatus=200"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	const want = "id=x_1_status=200 method=GET path=/a%20b status=404 release=7\n"
	if got := r.log.String(); got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

func TestService_LogsUpgradedConnectionWhenItEnds(t *testing.T) {
	r := run(t, &service.Service{Grace: time.Second}, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		conn, err := websocket.Accept(w, q, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}))
	conn, resp, err := websocket.Dial(t.Context(), r.url, &websocket.DialOptions{HTTPHeader: http.Header{service.IDHeader: {"w"}}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("X-Release") != "7" {
		t.Error("the upgrade does not name the release")
	}
	_, _, _ = conn.Read(t.Context())
	r.stop()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	if got := r.log.String(); got != "id=w method=GET path=/ status=101 release=7\n" {
		t.Errorf("logged %q", got)
	}
}

func TestService_FinishesRequestInFlightAfterStop(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := run(t, &service.Service{Grace: 10 * time.Second}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "whole")
	}))
	body := make(chan string, 1)
	go func() {
		_, b, err := get(r.url, "")
		body <- fmt.Sprint(b, err)
	}()
	<-begun
	r.stop()
	refused(t, r.url)
	select {
	case err := <-r.ended:
		t.Fatalf("ended with a request in flight: %v", err)
	default:
	}
	close(finish)
	if b := <-body; b != "whole<nil>" {
		t.Errorf("answered %q", b)
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// refused waits until nothing listens there any more.
func refused(t *testing.T, url string) {
	t.Helper()
	client := http.Client{Timeout: 100 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		resp, err := client.Get(url + "/again")
		if err != nil && strings.Contains(err.Error(), "refused") {
			return
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	t.Fatal("still listening after the stop")
}

func TestService_GivesUpAfterGrace(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := run(t, &service.Service{Grace: 50 * time.Millisecond}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-finish
	}))
	defer close(finish)
	go func() { _, _, _ = get(r.url, "") }()
	<-begun
	r.stop()
	if err := <-r.ended; err == nil {
		t.Error("no error, though a request was cut")
	}
}

func TestService_StopDuringStartDelayEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &service.Service{Addr: "127.0.0.1:0", StartDelay: time.Hour}
	if err := s.Run(ctx, http.NotFoundHandler()); err != nil {
		t.Error(err)
	}
}

func TestService_AFaultSpoilsAllButHealth(t *testing.T) {
	s := &service.Service{Grace: time.Second, Fault: service.Fault{Share: 1, Delay: time.Millisecond}}
	r := run(t, s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for path, want := range map[string]int{"/health": http.StatusOK, "/echo": http.StatusInternalServerError} {
		res, _, err := get(r.url+path, "")
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, res.StatusCode, want)
		}
	}
}
