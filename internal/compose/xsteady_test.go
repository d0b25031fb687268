package compose_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

func TestXSteady_RefusesAKeyItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
		hint string
	}{
		"in a service": {"services:\n  web:\n    image: x\n    x-steady:\n      drian: {requests: 1s}",
			"compose.yaml:5: services.web.x-steady.drian.requests: unknown key", ", drain, "},
		"at the top":             {"x-steady: {probes: 1}\n" + one, "compose.yaml:1: x-steady.probes: unknown key", ", drain, "},
		"in a service only":      {"x-steady: {probe: {path: /}}\n" + one, "x-steady.probe.path: stands within a service only", "services.SERVICE.x-steady"},
		"in a group":             {"x-steady: {probe: {raise: 1}}\n" + one, "x-steady.probe.raise: unknown key", "known keys: probe.deadline, probe.interval, probe.rise, probe.settle, probe.timeout"},
		"a group as a value":     {"x-steady: {drain: 5s}\n" + one, "x-steady.drain: must be a mapping", "known keys: drain.quiet, drain.requests, drain.streams"},
		"a group in a service":   {"x-steady: {canary: true}\n" + one, "x-steady.canary: stands within a service only", ""},
		"no mapping":             {"x-steady: yes\n" + one, "x-steady: must be a mapping", "known keys"},
		"no duration":            {"x-steady: {monitor: soon}\n" + one, "x-steady.monitor: soon is no duration", "watch window"},
		"negative duration":      {"x-steady: {monitor: -1s}\n" + one, "x-steady.monitor: -1s is no duration", "watch window"},
		"no choice":              {"x-steady: {strategy: blue}\n" + one, "blue is none of start-first, stop-first", ""},
		"no time for quiet":      {"x-steady: {drain: {quiet: forever}}\n" + one, "forever is no duration such as 2s", ""},
		"no such internal":       {"x-steady: {internal: sometimes}\n" + one, "sometimes is none of auto, on, off", ""},
		"twice":                  {"x-steady: {strategy: stop-first, order: stop-first}\n" + one, "x-steady.order: strategy is set too", ""},
		"no port":                {"services: {web: {image: x, x-steady: {probe: {port: 70000}}}}", "70000 is no port", ""},
		"no path":                {"services: {web: {image: x, x-steady: {probe: {path: health}}}}", "health is no path", ""},
		"no number":              {"x-steady: {probe: {rise: 0}}\n" + one, "0 is no number", ""},
		"unpublished port":       {"services: {web: {image: x, x-steady: {ports: {\"80\": {protocol: tcp}}}}}", "does not publish container port 80", ""},
		"unknown port key":       {"services: {web: {image: x, ports: [\"80:80\"], x-steady: {ports: {\"80\": {proto: tcp}}}}}", "ports.80.proto: unknown key", ""},
		"HTTP without a port":    {"services: {web: {image: x, x-steady: {probe: {path: /}}}}", "no port to ask at", "probe.port"},
		"exec without a command": {"services: {web: {image: x, x-steady: {probe: {kind: exec}}}}", "exec needs a healthcheck", ""},
		"a port without quotes":  {"services: {web: {image: x, ports: [\"80:80\"], x-steady: {ports: {80: {protocol: tcp}}}}}", "non-string key", `"8000"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"compose.yaml": c.text})
			_, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
			if !errors.Is(err, steady.ErrCompose) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error is %v, want %q", err, c.want)
			}
			if hint := steady.AsError(err).Hint; hint == "" || !strings.Contains(hint, c.hint) {
				t.Errorf("hint is %q, want %q in it", hint, c.hint)
			}
		})
	}
}

func TestXSteady_TheServiceSpeaksBeforeTheRestOfTheFile(t *testing.T) {
	p := loadText(t, `
x-steady: {strategy: stop-first, monitor: 1m, protocol: tcp, drain: {streams: forever}}
services:
  bare: {image: x, ports: ["1:1"]}
  declared:
    image: x
    ports: [{target: 1, published: "2", app_protocol: http}]
    deploy: {update_config: {order: start-first, monitor: 2m}}
  own:
    image: x
    ports: [{target: 1, published: "3", app_protocol: tcp}]
    deploy: {update_config: {order: start-first, monitor: 2m}}
    x-steady: {order: stop-first, monitor: 3m, protocol: http, drain: {streams: 0s}}
`)
	for i, want := range []struct {
		order, protocol string
		monitor, stream time.Duration
	}{
		{steady.StopFirst, steady.TCP, time.Minute, compose.Forever},
		{steady.StartFirst, steady.HTTP, 2 * time.Minute, compose.Forever},
		{steady.StopFirst, steady.HTTP, 3 * time.Minute, 0},
	} {
		s := p.Specs[i]
		if s.Update.Order != want.order || s.Update.Monitor != want.monitor || s.Ports[0].Protocol != want.protocol || s.Drain.Streams != want.stream {
			t.Errorf("%s: %s, %v, %s, %v; want %+v", s.Service, s.Update.Order, s.Update.Monitor, s.Ports[0].Protocol, s.Drain.Streams, want)
		}
	}
}

func TestXSteady_InternalOffTakesTheHolderAway(t *testing.T) {
	p := loadText(t, `
x-steady: {internal: off}
services:
  a: {image: x}
  b: {image: x, x-steady: {internal: on}}
  c: {image: x, x-steady: {internal: "auto"}}
  d: {image: x, x-steady: {internal: false}}
`)
	for i, want := range []bool{false, true, true, false} {
		if s := p.Specs[i]; (s.Internal == "") != want || s.Internal != "" && s.Internal != steady.InternalOff {
			t.Errorf("%s: internal is %q", s.Service, s.Internal)
		}
	}
	if s := loadText(t, "services: {web: {image: x}}").Specs[0]; s.Internal != "" {
		t.Errorf("without a word internal is %q", s.Internal)
	}
}

func TestXSteady_DoesNotEnterComposesHash(t *testing.T) {
	plain := loadText(t, "services: {web: {image: x}}")
	with := loadText(t, "x-steady: {monitor: 1s}\nservices: {web: {image: x, x-steady: {drain: {requests: 1s}}}}")
	if a, b := hashOf(t, plain.Specs[0]), hashOf(t, with.Specs[0]); a != b {
		t.Errorf("hashes are %s and %s", a, b)
	}
}

func TestKeys_AreToldWithDefaultAndMeaning(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range compose.Keys() {
		if k.Name == "" || k.Type == "" || k.Default == "" || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%+v is not whole", k)
		}
		if seen[k.Name] {
			t.Errorf("%s stands twice", k.Name)
		}
		seen[k.Name] = true
	}
}

func TestXSteady_DrainQuietTellsNoneFromTheDefault(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "x-steady: {drain: {quiet: 3s}}": 3 * time.Second, "x-steady: {drain: {quiet: 0s}}": -1,
	} {
		if s := loadText(t, text+"\nservices: {web: {image: x}}").Specs[0]; s.Drain.Quiet != want {
			t.Errorf("%q: %v, want %v", text, s.Drain.Quiet, want)
		}
	}
}
