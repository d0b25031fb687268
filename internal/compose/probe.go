package compose

import (
	"fmt"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// Docker's defaults for a healthcheck that leaves them out.
const (
	healthInterval = 30 * time.Second
	healthTimeout  = 30 * time.Second
	healthRetries  = 3
)

// probeOf derives how to learn that a replica can serve: from the healthcheck,
// else from the published ports, else by watching it stay up. x-steady.probe has
// the last word.
func probeOf(s types.ServiceConfig, ports []steady.Port, own settings) (steady.Probe, error) {
	h := s.HealthCheck
	if h != nil && (h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE") {
		h = nil
	}
	var p steady.Probe
	if h != nil {
		p = healthProbe(h, s.NetworkMode)
	} else {
		p = portProbe(ports, s.NetworkMode)
	}
	return overridden(p, s.Name, h, ports, own)
}

// healthProbe asks what the healthcheck asks, at a pace of our own.
func healthProbe(h *types.HealthCheckConfig, mode string) steady.Probe {
	argv, shell := commandOf(h.Test)
	p := steady.Probe{
		Kind:     steady.ProbeExec,
		Command:  argv,
		Interval: steady.DefaultExecInterval,
		Timeout:  orDefault(h.Timeout, healthTimeout),
		Rise:     steady.DefaultProbeRise,
		Deadline: patience(h),
	}
	if len(h.Test) == 0 {
		// Only its pace is declared; what is asked stands in the image.
		p.Kind, p.Command, p.Timeout = steady.ProbeDocker, nil, steady.DefaultProbeTimeout
		p.Cause = "the image's healthcheck"
		return p
	}
	// The command's name only: arguments may hold a password.
	program := steady.Program(argv, shell != "")
	p.Cause = fmt.Sprintf("healthcheck: %s", program)
	r, ok := requestOf(argv, shell)
	if !ok || !reachable(mode) {
		return p
	}
	return steady.Probe{
		Kind:     steady.ProbeHTTP,
		Scheme:   r.scheme,
		Port:     r.port,
		Path:     r.path,
		Method:   r.method,
		Header:   r.header,
		Expect:   r.expect,
		Interval: steady.DefaultProbeInterval,
		Timeout:  orDefault(h.Timeout, steady.DefaultProbeTimeout),
		Rise:     steady.DefaultProbeRise,
		Deadline: p.Deadline,
		Cause:    fmt.Sprintf("healthcheck: %s asks for %s", program, pathOnly(r.path)),
	}
}

// portProbe takes the first published TCP port. What is only exposed, by the file
// or by the image, is often mere documentation, so nobody insists on it.
func portProbe(ports []steady.Port, mode string) steady.Probe {
	p := steady.Probe{
		Kind:     steady.ProbeExposed,
		Interval: steady.DefaultProbeInterval,
		Timeout:  steady.DefaultProbeTimeout,
		Rise:     steady.DefaultProbeRise,
		Settle:   steady.DefaultExposedSettle,
		Deadline: steady.DefaultProbeDeadline,
		Cause:    "no healthcheck, no published port: what it exposes must accept, else it must stay up",
	}
	if !reachable(mode) || mode == "host" { // who answers there may be another
		p.Kind, p.Settle, p.Cause = steady.ProbeRunning, steady.DefaultSettle, "no healthcheck, no published port: it must stay up"
	}
	if target := firstTCP(ports); target != 0 && reachable(mode) {
		p.Kind, p.Port, p.Settle = steady.ProbeTCP, target, 0
		p.Cause = fmt.Sprintf("no healthcheck: published port %d must accept", target)
	}
	return p
}

func firstTCP(ports []steady.Port) uint16 {
	for _, p := range ports {
		if p.Transport == "tcp" {
			return p.Target
		}
	}
	return 0
}

// reachable says whether a replica has an address of its own to be asked at.
func reachable(mode string) bool {
	return mode != "none" && !strings.HasPrefix(mode, "service:") && !strings.HasPrefix(mode, "container:")
}

// patience is how long Docker itself would wait before it says unhealthy.
func patience(h *types.HealthCheckConfig) time.Duration {
	retries := time.Duration(healthRetries)
	if h.Retries != nil && *h.Retries > 0 {
		retries = time.Duration(*h.Retries)
	}
	return orDefault(h.StartPeriod, 0) +
		retries*(orDefault(h.Interval, healthInterval)+orDefault(h.Timeout, healthTimeout))
}

// orDefault: like Docker, it takes 0 for "not said".
func orDefault(d *types.Duration, fallback time.Duration) time.Duration {
	if d == nil || *d == 0 {
		return fallback
	}
	return time.Duration(*d)
}

// commandOf is the healthcheck as argv, and the shell's line where it is one.
func commandOf(test []string) (argv []string, shell string) {
	if len(test) < 2 {
		return nil, ""
	}
	if test[0] == "CMD-SHELL" {
		return []string{"/bin/sh", "-c", test[1]}, test[1]
	}
	return test[1:], ""
}

func pathOnly(path string) string { return before(path, "?") }

// overridden applies x-steady.probe.
func overridden(p steady.Probe, service string, h *types.HealthCheckConfig, ports []steady.Port, own settings) (steady.Probe, error) {
	kind := setting(own, "probe.kind", "")
	path := setting(own, "probe.path", "")
	if kind == "" && path != "" {
		kind = steady.ProbeHTTP
	}
	if kind != "" && kind != p.Kind {
		p = of(kind, p)
		p.Cause = Extension + ".probe"
		if kind == steady.ProbeExec {
			if h != nil {
				p.Command, _ = commandOf(h.Test)
				p.Timeout = orDefault(h.Timeout, healthTimeout)
			}
			if len(p.Command) == 0 {
				return p, steady.ErrCompose.With(
					fmt.Sprintf("services.%s.x-steady.probe.kind: exec needs a healthcheck with a command", service), "add a healthcheck with a test")
			}
		}
	}
	if path != "" && p.Kind == steady.ProbeHTTP {
		p.Path = path
	}
	if n := setting(own, "probe.port", uint16(0)); n != 0 {
		p.Port = n
	}
	if p.Kind == steady.ProbeHTTP || p.Kind == steady.ProbeTCP {
		if p.Port == 0 {
			p.Port = firstTCP(ports)
		}
		if p.Port == 0 {
			return p, steady.ErrCompose.With(
				fmt.Sprintf("services.%s.x-steady.probe: no port to ask at", service), "set x-steady.probe.port")
		}
	}
	p.Interval = setting(own, "probe.interval", p.Interval)
	p.Timeout = setting(own, "probe.timeout", p.Timeout)
	p.Rise = setting(own, "probe.rise", p.Rise)
	p.Deadline = setting(own, "probe.deadline", p.Deadline)
	p.Settle = setting(own, "probe.settle", p.Settle)
	p.Reach = setting(own, "probe.reach", "")
	return p, nil
}

// of is a bare probe of another kind with the clocks of the derived one.
func of(kind string, derived steady.Probe) steady.Probe {
	p := steady.Probe{
		Kind:     kind,
		Interval: steady.DefaultProbeInterval,
		Timeout:  derived.Timeout,
		Rise:     steady.DefaultProbeRise,
		Deadline: derived.Deadline,
	}
	switch kind {
	case steady.ProbeHTTP:
		p.Scheme, p.Path, p.Port = "http", "/", derived.Port
	case steady.ProbeTCP:
		p.Port = derived.Port
	case steady.ProbeExec, steady.ProbeDocker:
		p.Interval = steady.DefaultExecInterval
	case steady.ProbeExposed:
		p.Settle = steady.DefaultExposedSettle
	case steady.ProbeRunning:
		p.Settle = steady.DefaultSettle
	}
	return p
}
