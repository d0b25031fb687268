package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// storm is a service of two ports, HTTP and TCP, whose tables change all the time.
type storm struct {
	*rig
	tcpAddr string
	http    [3]steady.Upstream
	tcp     [3]steady.Upstream
	came    [3]atomic.Int64 // requests and connections that reached a release, of clients that wait for their answer

	mu     sync.Mutex
	tables []steady.Table // of pool 80, in the order in which they were given
	done   int            // so many of them are in force or have been

	asked, answered, shut, turned, givenUp atomic.Int64
	dialled, carried, closed               atomic.Int64
}

// app answers with its release; it has assets of its own only.
func (s *storm) app(i int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Leaves") == "" {
			s.came[i].Add(1)
		}
		from, err := strconv.Atoi(r.Header.Get("X-From"))
		if err != nil || !s.allowed(i, from, s.since(true)) {
			s.t.Errorf("release %d got a request that came after %d tables: none listed it meanwhile", i+1, from)
		}
		if own := fmt.Sprintf("/static/%d", i); strings.HasPrefix(r.URL.Path, "/static/") && r.URL.Path != own {
			http.NotFound(w, r)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %d", i, n)
	})
}

func newStorm(t *testing.T) *storm {
	s := &storm{}
	for i := range s.http {
		s.http[i] = backend(t, fmt.Sprint("h", i), i+1, s.app(i))
		s.tcp[i] = tcpBackend(t, fmt.Sprint("h", i), i+1, func(c net.Conn) {
			fmt.Fprintf(c, "%d\n", i)
			word, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				return
			}
			s.came[i].Add(1)
			_, _ = io.WriteString(c, word)
		})
	}
	s.rig = newRig(t, steady.HTTP, proxy.Limits{}, s.http[0])
	s.addr, s.tcpAddr = freeAddr(t), freeAddr(t)
	return s
}

// next is a table in which anything may be.
func (s *storm) next() steady.Table {
	s.version++
	t := steady.Table{Version: s.version}
	now := rand.IntN(3)
	before, holds, splits := (now+1)%3, rand.IntN(3) == 0, rand.IntN(3) == 0
	m := steady.Maintenance{Project: "shop", RetryAfter: time.Minute, AllowHeaders: []steady.HeaderSum{{Name: "X-Team", Sum: steady.SumHeader("us")}}}
	hold := &steady.Hold{Most: []int{2, 1000}[rand.IntN(2)], Bytes: 1 << 20, For: []time.Duration{20 * time.Millisecond, time.Minute}[rand.IntN(2)], Lease: time.Minute}
	if shut := rand.IntN(6) == 0; shut {
		t.Maintenance = []steady.Maintenance{m}
	}
	for i, addr := range []string{s.addr, s.tcpAddr} {
		us := [][3]steady.Upstream{s.http, s.tcp}[i]
		host, port, _ := steady.HostPort(addr)
		p := steady.Pool{Name: fmt.Sprintf("shop/api:%d", 80+i), Upstreams: []steady.Upstream{us[now]}}
		switch {
		case holds:
			p.Hold, p.Upstreams = hold, nil
		case splits:
			p.Upstreams = append(p.Upstreams, us[before])
			p.Split = &steady.Split{Release: now + 1, Percent: float64(rand.IntN(100))}
		case rand.IntN(2) == 0 && i == 0:
			p.Elders, p.Assets = []steady.Upstream{us[before]}, []string{"/static/*"}
		}
		if t.Maintenance != nil {
			p.Maintenance = m.Ref()
		}
		t.Pools = append(t.Pools, p)
		t.Listeners = append(t.Listeners, steady.Listener{Host: host, Port: port, Protocol: []string{steady.HTTP, steady.TCP}[i], Pool: p.Name})
	}
	return t
}

// force puts a table in force and, where a release has left it, drains that: nothing
// may reach it afterwards.
func (s *storm) force(t steady.Table) {
	s.t.Helper()
	s.mu.Lock()
	s.tables = append(s.tables, t)
	s.mu.Unlock()
	if err := s.client.Serve(s.t.Context(), t); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.done = len(s.tables)
	s.mu.Unlock()
	for i, u := range s.http {
		listed := slices.Contains(t.Pools[0].Upstreams, u) || slices.Contains(t.Pools[0].Elders, u)
		if listed || rand.IntN(2) == 0 {
			continue
		}
		if _, err := s.client.Drain(s.t.Context(), []string{u.ID}, steady.Drain{Requests: -1, Streams: -1}); err != nil {
			s.t.Fatal(err)
		}
		quiet := s.came[i].Load()
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		if n := s.came[i].Load(); n != quiet {
			s.t.Errorf("release %d is left out and drained, and got %d more", i+1, n-quiet)
		}
	}
}

// since is how many tables are in force or have been; with all, those that may be too.
func (s *storm) since(all bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all {
		return len(s.tables)
	}
	return s.done
}

// allowed says whether one that came when from tables had been in force, and was
// answered when no more than to were, may have reached a release.
func (s *storm) allowed(release, from, to int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.tables[from-1:to], func(t steady.Table) bool {
		return slices.Contains(t.Pools[0].Upstreams, s.http[release]) || slices.Contains(t.Pools[0].Elders, s.http[release])
	})
}

// ask sends one request, which may give up, and sees what became of it.
func (s *storm) ask(c *http.Client) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	leaves := rand.IntN(8) == 0
	if leaves {
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, cancel)
	}
	size := []int{0, 10, 70 << 10}[rand.IntN(3)]
	path, method := "/", http.MethodPost
	if rand.IntN(3) == 0 {
		path, method, size = fmt.Sprintf("/static/%d", rand.IntN(3)), http.MethodGet, 0
	}
	from := s.since(false)
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		s.t.Error(err)
		return
	}
	req.Header.Set("X-From", strconv.Itoa(from))
	if leaves {
		req.Header.Set("X-Leaves", "yes")
	}
	admitted := rand.IntN(2) == 0
	if admitted {
		req.Header.Set("X-Team", "us")
	}
	s.asked.Add(1)
	res, err := c.Do(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	switch {
	case err != nil && leaves && errors.Is(err, context.Canceled):
		s.givenUp.Add(1)
	case err != nil:
		s.t.Errorf("lost: %v", err)
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "60":
		if admitted {
			s.t.Error("a maintenance shut out one that it lets through")
		}
		s.shut.Add(1)
	case res.StatusCode == http.StatusServiceUnavailable:
		s.turned.Add(1)
	case res.StatusCode == http.StatusNotFound && path != "/":
		s.answered.Add(1)
	case res.StatusCode == http.StatusOK:
		s.answered.Add(1)
		var release, got int
		if _, err := fmt.Sscan(string(body), &release, &got); err != nil || got != size || !s.allowed(release, from, s.since(true)) {
			s.t.Errorf("%s %s: %q of %d bytes, by a release that no table listed meanwhile", method, path, body, size)
		}
	default:
		s.t.Errorf("%s %s: %s", method, path, res.Status)
	}
}

// call opens one connection and says something.
func (s *storm) call() {
	from := s.since(false)
	c, err := net.Dial("tcp", s.tcpAddr)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	s.dialled.Add(1)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil { // turned away at the gate, or by a maintenance
		s.closed.Add(1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Error("a connection was neither carried nor closed")
		}
		return
	}
	release, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !s.allowed(release, from, s.since(true)) {
		s.t.Errorf("%q greets, which no table listed meanwhile", line)
	}
	fmt.Fprintf(c, "ping\n")
	if back, err := r.ReadString('\n'); err != nil || back != "ping\n" {
		s.t.Errorf("%q, %v came back", back, err)
	}
	s.carried.Add(1)
}

// Whatever follows on whatever, held, split, with elders or under maintenance: nobody
// reaches a release that no table lists, nobody is lost but who was turned away, every
// wait ends once, and all counts add up.
func TestSeam_AnyTableAfterAnyOther(t *testing.T) {
	s := newStorm(t)
	s.force(s.next())
	rounds, _ := strconv.Atoi(os.Getenv("STEADY_PROXY_TABLES"))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	each := func(n int, f func()) {
		for range n {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
						f()
					}
				}
			})
		}
	}
	keeps, anew := kept(t), s.rig.http()
	each(8, func() { s.ask(keeps) })
	each(3, func() { s.ask(anew) })
	each(4, s.call)
	for range max(rounds, 100) {
		s.force(s.next())
		time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond)
	}
	last := s.next()
	for last.Pools[0].Hold != nil || last.Maintenance != nil {
		last = s.next()
	}
	s.force(last)
	close(stop)
	clients.Wait()
	s.addsUp()
}

// addsUp compares what the proxy counted with what its clients saw.
func (s *storm) addsUp() {
	t := s.t
	eventually(t, "nothing is in flight", func() bool {
		now := s.status()
		return len(now.Gates) == 0 && !slices.ContainsFunc(now.Upstreams, func(u proxy.UpstreamStatus) bool { return u.Requests+u.Streams > 0 })
	})
	flows, err := s.client.FlowsOf(t.Context(), "shop/api")
	if err != nil {
		t.Fatal(err)
	}
	all, none := steady.Flows{"": flows}.Of(""), flows[0]
	n := all.Counts
	t.Logf("%d tables; requests: %d asked, %d answered, %d turned away, %d met a maintenance, %d given up; connections: %d, %d carried; counted: %+v, %d waits",
		s.version, s.asked.Load(), s.answered.Load(), s.turned.Load(), s.shut.Load(), s.givenUp.Load(), s.dialled.Load(), s.carried.Load(), n, all.Waits.Count())
	for release, f := range flows {
		if c := f.Counts; release > 0 && c.Requests != c.Answered+c.Lost+c.Left {
			t.Errorf("release %d: %d requests are not %d answered, %d lost and %d left", release, c.Requests, c.Answered, c.Lost, c.Left)
		}
	}
	if n.Lost != n.Turned || none.Counts.Turned != n.Turned || n.Cut != 0 || n.Errors != 0 {
		t.Errorf("%d lost and %d cut, of them %d turned away", n.Lost, n.Cut, n.Turned)
	}
	if n.Held != all.Waits.Count() {
		t.Errorf("%d were held, and %d waits have ended", n.Held, all.Waits.Count())
	}
	if n.Streams != n.StreamsEnded || n.Streams != s.carried.Load() || s.carried.Load()+s.closed.Load() != s.dialled.Load() {
		t.Errorf("%d streams, %d ended; %d connections, %d carried, %d closed", n.Streams, n.StreamsEnded, s.dialled.Load(), s.carried.Load(), s.closed.Load())
	}
	// Who gave up may have been answered, or never have come.
	for what, seen := range map[string][2]int64{
		"answered": {s.answered.Load(), n.Answered},
		"shut out": {s.shut.Load(), n.Maintained},
		"turned":   {s.turned.Load(), n.Turned},
	} {
		if spare := s.givenUp.Load() + s.closed.Load(); seen[1] < seen[0] || seen[1] > seen[0]+spare {
			t.Errorf("%s: %d were, and %d are counted", what, seen[0], seen[1])
		}
	}
	if s.turned.Load() == 0 || s.shut.Load() == 0 || n.Held == 0 || n.Elder == 0 || s.carried.Load() == 0 {
		t.Error("something was not tried")
	}
}
