package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// perRelease and perReplica are the labels of what is told for each.
var (
	perService = []string{"project", "service"}
	perRelease = []string{"project", "service", "release"}
	perReplica = []string{"project", "service", "release", "replica"}
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("steady_"+name, help, labels, nil)
}

// descriptions are the metrics that are read off a snapshot.
type descriptions struct {
	engineUp, proxyUp, proxyRestarts, proxyStart, connections *prometheus.Desc

	requests, duration, retried, cut, inFlight *prometheus.Desc
	held, turned, waits, elder                 *prometheus.Desc
	streams, streamsEnded, streamsOpen         *prometheus.Desc
	drains, drainedRequests, drainedStreams    *prometheus.Desc
	logLines, logDropped                       *prometheus.Desc

	serving, wanted, ready, rolloutsRunning                    *prometheus.Desc
	cpu, memory, cpuLimit, memoryLimit, restarts, replicaReady *prometheus.Desc
}

func describeAll() descriptions {
	return descriptions{
		engineUp:      describe("engine_up", "Whether the Docker Engine answers, 1 or 0."),
		proxyUp:       describe("proxy_up", "Whether the proxy answers, 1 or 0."),
		proxyRestarts: describe("proxy_restarts_total", "How often another proxy has taken the place of one, as the daemon saw it since it began."),
		proxyStart:    describe("proxy_start_time_seconds", "When the proxy began, in seconds since 1970. Its counters began then."),
		connections:   describe("proxy_connections", "Client connections that are open."),

		requests: describe("requests_total", "HTTP requests that are over, by the class of the app's answer (1xx to 5xx; 1xx is an upgrade); "+
			"lost: steady answered in the app's place, or the app broke off; left: the client gave up. Release 0 found no replica.", append(perRelease, "code")...),
		duration:     describe("request_duration_seconds", "From the request's head to the answer's end, of the app's answers; streams are left out.", perRelease...),
		retried:      describe("requests_retried_total", "Requests sent again to another replica, harmlessly.", perRelease...),
		cut:          describe("requests_cut_total", "Lost requests that outlived the clock of a drain.", perRelease...),
		inFlight:     describe("requests_in_flight", "HTTP requests in flight.", perRelease...),
		held:         describe("held_total", "Requests and TCP connections that waited at the service's gate, whatever became of them.", perService...),
		turned:       describe("held_turned_total", "Requests and TCP connections turned away at the gate: it was full, or they had waited for too long. They are lost ones too.", perService...),
		waits:        describe("held_duration_seconds", "How long those waited that were held at the gate.", perService...),
		elder:        describe("elder_requests_total", "Requests for an asset that the release was asked for when the one after it answered 404; they are the other one's in every other count.", perRelease...),
		streams:      describe("streams_total", "WebSockets, event streams and TCP connections begun.", perRelease...),
		streamsEnded: describe("streams_ended_total", "Streams that are over: ended by client or app, closed by a drain in their own protocol, ended by it at a quiet moment, or cut by it.", append(perRelease, "how")...),
		streamsOpen:  describe("streams_open", "Streams that are open.", perRelease...),

		drains:          describe("drains_total", "Drains that are over."),
		drainedRequests: describe("drained_requests_total", "Requests that were in flight when a drain began."),
		drainedStreams:  describe("drained_streams_total", "Streams that were open when a drain began."),
		logLines:        describe("access_log_lines_total", "Lines written to the access log."),
		logDropped:      describe("access_log_dropped_total", "Lines of the access log for which there was no room, or that could not be written."),

		serving:         describe("serving_release", "Number of the release that serves.", perService...),
		wanted:          describe("replicas_wanted", "Replicas that shall take traffic.", perService...),
		ready:           describe("replicas_ready", "Replicas that take traffic, run and are not unhealthy.", perService...),
		rolloutsRunning: describe("rollouts_running", "Rollouts under way.", "project"),
		cpu:             describe("replica_cpu_seconds_total", "Processor time used since the replica started.", perReplica...),
		memory:          describe("replica_memory_bytes", "Memory in use, without file cache that can be taken back.", perReplica...),
		cpuLimit:        describe("replica_cpu_limit_cores", "Processors that the replica may use. Missing: no limit.", perReplica...),
		memoryLimit:     describe("replica_memory_limit_bytes", "Memory that the replica may use. Missing: no limit.", perReplica...),
		restarts:        describe("replica_restarts_total", "How often the Engine has restarted the replica.", perReplica...),
		replicaReady:    describe("replica_ready", "Whether the replica takes traffic, runs and is not unhealthy, 1 or 0.", perReplica...),
	}
}

func (d descriptions) each() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.engineUp, d.proxyUp, d.proxyRestarts, d.proxyStart, d.connections,
		d.requests, d.duration, d.retried, d.cut, d.inFlight, d.held, d.turned, d.waits, d.elder, d.streams, d.streamsEnded, d.streamsOpen,
		d.drains, d.drainedRequests, d.drainedStreams, d.logLines, d.logDropped,
		d.serving, d.wanted, d.ready, d.rolloutsRunning, d.cpu, d.memory, d.cpuLimit, d.memoryLimit, d.restarts, d.replicaReady,
	}
}
