package probe_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/probe"
)

// bridged is a container with an address of its own.
func bridged() *container {
	c := running()
	c.replica.HostNet, c.replica.Addresses = false, map[string]string{"shop_default": "10.1.0.3"}
	return c
}

// opening is a dial to a container whose ports open a while after the beginning, and
// what /proc tells of it; loopback are those that only the container itself reaches.
func opening(open map[string]time.Duration, loopback ...string) (probe.Dial, func() []listen.Socket) {
	began := time.Now()
	dial := func(_ context.Context, _, addr string) (net.Conn, error) {
		if after, ok := open[addr]; !ok || time.Since(began) < after {
			return nil, syscall.ECONNREFUSED
		}
		here, there := net.Pipe()
		_ = there.Close()
		return here, nil
	}
	return dial, func() []listen.Socket {
		out := []listen.Socket{{Addr: netip.MustParseAddrPort("127.0.0.11:40123")}} // the Engine's name server
		for addr, after := range open {
			if time.Since(began) >= after {
				at := netip.MustParseAddrPort(addr)
				out = append(out, listen.Socket{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())})
			}
		}
		for _, addr := range loopback {
			out = append(out, listen.Socket{Addr: netip.MustParseAddrPort(addr)})
		}
		return out
	}
}

func must(name string, target uint16) steady.Way {
	return steady.Way{Name: name, Target: target, Transport: "tcp", Need: steady.NeedMust}
}

func reach(t *testing.T, open map[string]time.Duration, loopback []string, want steady.Reach) (steady.Reached, []string, error) {
	t.Helper()
	dial, all := opening(open, loopback...)
	if want.Within == 0 {
		want.Within = 20 * time.Second
	}
	var said []string
	got, err := probe.Listening(probe.New(bridged(), dial), all).Reach(t.Context(), name, want, func(s string) { said = append(said, s) })
	return got, said, err
}

func TestReach_SaysWhyNobodyCanReachTheContainer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		open     map[string]time.Duration
		loopback []string
		want     steady.Reach
		text     string
		hint     string
	}{
		{"it listens on loopback", nil, []string{"127.0.0.1:8000"}, steady.Reach{Ways: []steady.Way{must("port 80", 8000)}},
			"port 80: it listens on 127.0.0.1:8000 only", "0.0.0.0:8000"},
		{"the file names a wrong port", map[string]time.Duration{"10.1.0.3:8000": 0}, nil, steady.Reach{Ways: []steady.Way{must("port 80", 9999)}},
			"port 80: nothing listens on 9999; the container listens on 8000", `"80:8000"`},
		{"nothing listens", nil, nil, steady.Reach{Ways: []steady.Way{must("a.example.ch/v1", 9999)}},
			"a.example.ch/v1: nothing listens on 9999, nor on any other port", "steady logs api --release 42"},
		{"none of several accepts", nil, nil, steady.Reach{One: true, Ways: []steady.Way{{Name: "port 1", Target: 1, Transport: "tcp"}, {Name: "port 2", Target: 2, Transport: "tcp"}}},
			"port 1: nothing listens on 1, nor on any other port; port 2: nothing listens on 2", ""},
		{"one of several that must", map[string]time.Duration{"10.1.0.3:8000": 0}, nil, steady.Reach{Ways: []steady.Way{must("port 80", 8000), must("port 443", 8443)}},
			"port 443: nothing listens on 8443; the container listens on 8000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, said, err := reach(t, tt.open, tt.loopback, tt.want)
				var e *steady.Error
				if !errors.As(err, &e) || !errors.Is(err, steady.ErrUnreachable) {
					t.Fatalf("error %v", err)
				}
				if !strings.Contains(e.Text, tt.text) || !strings.Contains(e.Hint, tt.hint) || len(e.Tail) == 0 {
					t.Errorf("text %q, hint %q, tail %q", e.Text, e.Hint, e.Tail)
				}
				if took := time.Since(began); took < 20*time.Second {
					t.Errorf("it gave up after %s", took)
				}
				if len(said) != 1 || !strings.Contains(said[0], tt.text) {
					t.Errorf("meanwhile it said %q", said)
				}
			})
		})
	}
}

func TestReach_WaitsForWhatOpensLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := map[string]time.Duration{"10.1.0.3:8000": 15 * time.Second}
		got, _, err := reach(t, open, nil, steady.Reach{Ways: []steady.Way{must("port 80", 8000)}})
		if err != nil || len(got.Accepts) != 1 || got.Took < 15*time.Second || got.Took > 16*time.Second {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestReach_APortThatIsOnlyHopedForIsToldAndHoldsUpALittle(t *testing.T) {
	for _, tt := range []struct {
		need string
		took time.Duration
	}{{steady.NeedHoped, steady.HopedFor}, {"", 0}} {
		synctest.Test(t, func(t *testing.T) {
			debug := must("port 9229", 9229)
			debug.Need = tt.need
			got, _, err := reach(t, map[string]time.Duration{"10.1.0.3:8000": 0}, nil, steady.Reach{One: true, Ways: []steady.Way{must("port 80", 8000), debug}})
			if err != nil || len(got.Silent) != 1 || got.Silent[0] != "port 9229: nothing listens on 9229; the container listens on 8000" {
				t.Errorf("%+v, %v", got, err)
			}
			if got.Took.Truncate(time.Second) != tt.took {
				t.Errorf("need %q: it took %s", tt.need, got.Took)
			}
		})
	}
}

func TestReach_ARangeAndUDPAreAskedOfTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		part := steady.Way{Name: "port 30000", Target: 30000, Transport: "tcp", Part: true}
		dns := steady.Way{Name: "port 53/udp", Target: 53, Transport: "udp", Need: steady.NeedMust}
		dial := func(context.Context, string, string) (net.Conn, error) {
			t.Error("it was connected to")
			return nil, syscall.ECONNREFUSED
		}
		bound := func() []listen.Socket {
			return []listen.Socket{{Addr: netip.MustParseAddrPort("[::]:53"), UDP: true}, {Addr: netip.MustParseAddrPort("0.0.0.0:54")}}
		}
		p := probe.Listening(probe.New(bridged(), dial), bound)
		got, err := p.Reach(t.Context(), name, steady.Reach{Ways: []steady.Way{part, dns}, Within: time.Second}, nil)
		if err != nil || len(got.Accepts) != 1 || len(got.Silent) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		dns.Target = 54
		_, err = p.Reach(t.Context(), name, steady.Reach{Ways: []steady.Way{dns}, Within: time.Second}, nil)
		if !errors.Is(err, steady.ErrUnreachable) || !strings.Contains(err.Error(), "nothing listens on 54/udp; the container listens on 53") {
			t.Errorf("%v", err)
		}
	})
}

func TestReach_AContainerThatDiesMeanwhileIsToldAsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := bridged()
		box.after(3*time.Second, func(r *steady.Replica) { r.State, r.ExitCode = steady.StateExited, 3 })
		dial, all := opening(nil)
		_, err := probe.Listening(probe.New(box, dial), all).Reach(t.Context(), name, steady.Reach{Ways: []steady.Way{must("port 80", 80)}, Within: time.Minute}, nil)
		if !errors.Is(err, steady.ErrExited) {
			t.Errorf("%v", err)
		}
	})
}

func TestAccepts_AndStillAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := map[string]time.Duration{"10.1.0.3:8000": 0, "10.1.0.3:8443": time.Second}
		dial, all := opening(open)
		p := probe.Listening(probe.New(bridged(), dial), all)
		ways := []steady.Way{must("port 80", 8000), must("port 443", 8443)}
		got, err := p.Accepts(t.Context(), name, ways)
		if err != nil || len(got) != 1 || got[0].Name != "port 80" {
			t.Errorf("%v, %v", got, err)
		}
		err = p.StillAccepts(t.Context(), name, ways)
		if !errors.Is(err, steady.ErrUnreachable) || !strings.Contains(err.Error(), "accepts no more at port 443: nothing listens on 8443; the container listens on 8000") {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Second)
		if err := p.StillAccepts(t.Context(), name, ways); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestReady_ARefusedProbeSaysWhatTheContainerListensOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, all := opening(nil, "127.0.0.1:80")
		p := health()
		p.Port = 80
		_, err := probe.Listening(probe.New(bridged(), dial), all).Ready(t.Context(), name, p)
		if err == nil || !strings.Contains(err.Error(), "refused connections on port 80 for") || !strings.HasSuffix(err.Error(), ": it listens on 127.0.0.1:80 only") {
			t.Errorf("%v", err)
		}
	})
}
