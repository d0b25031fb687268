package compose

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// Extension is the name of steady's own section, at the top of a Compose file for
// all services or within one service.
const Extension = "x-steady"

// Forever is what "forever" means where a duration is asked: a hundred years,
// which can still be added to any date.
const Forever = 100 * 365 * 24 * time.Hour

// Key is one setting of x-steady.
type Key struct {
	Name        string // dotted, "drain.requests"; {target} stands for a container port
	Type        string // for people: duration, number, port, path, or the values allowed
	Default     string
	Doc         string
	ServiceOnly bool // not allowed at the top of the file

	parse func(any) (any, error)
}

// Keys is every setting of x-steady there is, in the order of the reference.
func Keys() []Key {
	orders := choice(steady.StartFirst, steady.StopFirst, steady.StrategyHold)
	protocols := portProtocol
	kinds := choice(steady.ProbeHTTP, steady.ProbeTCP, steady.ProbeExec, steady.ProbeDocker, steady.ProbeExposed, steady.ProbeRunning)
	keys := []Key{
		{Name: "strategy", Type: "start-first | stop-first | hold", Default: "the plan chooses", parse: orders,
			Doc: "How the service is replaced. Overrides deploy.update_config.order. With hold, requests wait at the proxy between stop and start; stop-first means the same unless hold is off."},
		{Name: "order", Type: "start-first | stop-first | hold", Default: "the plan chooses", parse: orders,
			Doc: "An alias of strategy."},
		{Name: "monitor", Type: "duration", Default: steady.DefaultMonitor.String() + "; " + steady.DefaultWatchWindow.String() + " where failure_action, max_failure_ratio or watch stand in the file", parse: duration,
			Doc: "The watch window after a shift, in which a replica that dies, more errors than before or slower answers lead back to the old release. Overrides deploy.update_config.monitor."},
		{Name: "protocol", Type: "auto | http | h2c | grpc | tcp", Default: steady.Auto, parse: protocols,
			Doc: "What the published ports carry; h2c and grpc are HTTP/2 without TLS, request by request. auto tells HTTP from other protocols by a connection's first line, see docs/requests.md. Overrides app_protocol."},
		{Name: "ports.{target}.protocol", Type: "auto | http | h2c | grpc | tcp", Default: "protocol", ServiceOnly: true, parse: protocols,
			Doc: "What one published port carries, by its port in the container, which YAML wants in quotes."},
		{Name: "internal", Type: "auto | on | off", Default: steady.Auto, parse: held,
			Doc: "Whether calls to the service from within its networks come through steady, so that a rollout loses none of them. Off gives its names to the replicas, as plain Compose does, once they are ready. auto and on are the same."},
		{Name: "drain.requests", Type: "duration", Default: steady.DefaultDrainRequests.String(), parse: duration,
			Doc: "How long requests in flight may take to finish before the old replica is stopped."},
		{Name: "drain.streams", Type: "duration", Default: steady.DefaultDrainStreams.String(), parse: duration,
			Doc: "The same for WebSockets, event streams and TCP connections. A held service does not wait that long for them, since requests wait meanwhile."},
		{Name: "drain.quiet", Type: "duration", Default: steady.DefaultDrainQuiet.String(), parse: quiet,
			Doc: "How long to look for a quiet moment to end a stream whose time is over: the server sent last, and neither side has sent anything for a moment. For a held service at most a tenth of hold.for. 0s ends streams at once."},
		{Name: "sticky", Type: "true | false", Default: "false", parse: boolean,
			Doc: "Whether a client stays at one replica, by a cookie that the proxy sets, as long as that replica gets traffic. Setting sticky.cookie or sticky.ttl turns it on as well."},
		{Name: "sticky.cookie", Type: "name", Default: steady.DefaultStickyCookie, parse: cookie,
			Doc: "The cookie's name. Its value identifies the replica without revealing anything about it. HttpOnly, SameSite=Lax, and Secure where the request came by HTTPS."},
		{Name: "sticky.ttl", Type: "duration", Default: "until the browser ends", parse: duration,
			Doc: "How long the cookie lasts from when it was set."},
		{Name: "probe.kind", Type: "http | tcp | exec | docker | exposed | running", Default: "from the healthcheck, else from the ports", ServiceOnly: true, parse: kinds,
			Doc: "How to find out whether a replica can serve. exec runs the healthcheck's command; exposed waits until one of the ports that the file or image exposes accepts connections, or, if none does within 5s, until the container has stayed up."},
		{Name: "probe.path", Type: "path", Default: "from the healthcheck, else /", ServiceOnly: true, parse: path,
			Doc: "The path that an HTTP probe requests; set alone, it makes the probe an HTTP one."},
		{Name: "probe.port", Type: "port", Default: "from the healthcheck, else the first published", ServiceOnly: true, parse: port,
			Doc: "The port in the container that is probed."},
		{Name: "probe.interval", Type: "duration", Default: steady.DefaultProbeInterval.String() + ", exec " + steady.DefaultExecInterval.String(), parse: duration,
			Doc: "The pause between two probes."},
		{Name: "probe.timeout", Type: "duration", Default: "the healthcheck's, else " + steady.DefaultProbeTimeout.String(), parse: duration,
			Doc: "How long one probe may take."},
		{Name: "probe.rise", Type: "number", Default: strconv.Itoa(steady.DefaultProbeRise), parse: count,
			Doc: "How many successful probes in a row make a replica ready."},
		{Name: "probe.deadline", Type: "duration", Default: "start_period + retries × (interval + timeout), without a healthcheck " + steady.DefaultProbeDeadline.String(), parse: duration,
			Doc: "How long a replica may take from its start until it is ready before the rollout fails."},
		{Name: "probe.settle", Type: "duration", Default: steady.DefaultSettle.String(), parse: duration,
			Doc: "How long a replica that cannot be probed must stay up."},
		{Name: "probe.reach", Type: "on | off", Default: "on", ServiceOnly: true, parse: reach,
			Doc: "Whether the published and routed ports must accept connections before a release gets traffic, whatever the probe is. off is for ports that are opened on demand."},
	}
	return slices.Concat(keys, watchKeys(), routeKeys(), tlsKeys(), ingressKeys(), holdKeys(), canaryKeys(), assetKeys(), ephemeralKeys(), hookKeys(), notifyKeys())
}

// settings are the values of x-steady by dotted key, parsed.
type settings struct {
	service map[string]any
	project map[string]any
	targets []string // container ports named under ports

	hooks        *steady.Hooks
	projectHooks *steady.Hooks
	receivers    []steady.Receiver
}

// setting is the service's value, else the project's, else the fallback.
func setting[T any](s settings, key string, fallback T) T {
	if v, ok := s.service[key].(T); ok {
		return v
	}
	if v, ok := s.project[key].(T); ok {
		return v
	}
	return fallback
}

// settingsOf parses the sections that concern a service.
func settingsOf(model *types.Project, s types.ServiceConfig) (settings, error) {
	top := section{files: model.ComposeFiles, path: []string{Extension}, top: true}
	project, err := top.parse(model.Extensions[Extension])
	if err != nil {
		return settings{}, err
	}
	within := section{files: model.ComposeFiles, path: []string{"services", s.Name, Extension}}
	service, err := within.parse(s.Extensions[Extension])
	if err != nil {
		return settings{}, err
	}
	out := settings{service: service, project: project}
	if out.hooks, err = within.hooks(service); err != nil {
		return settings{}, err
	}
	if out.projectHooks, err = top.hooks(project); err != nil {
		return settings{}, err
	}
	if _, err = within.receivers(service, ""); err != nil {
		return settings{}, err
	}
	if out.receivers, err = top.receivers(project, model.WorkingDir); err != nil {
		return settings{}, err
	}
	for _, key := range sortedKeys(service) {
		if target, ok := strings.CutPrefix(key, "ports."); ok {
			out.targets = append(out.targets, before(target, "."))
		}
	}
	return out, nil
}
