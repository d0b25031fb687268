package steady

import "time"

// Examined is what an Engine tells of itself and of all its containers, for
// whoever looks for what is wrong.
type Examined struct {
	Version    string // of the Engine
	API        string // negotiated
	Root       string // directory where it keeps images, containers and volumes
	Driver     string // of its storage
	Containers []ExaminedContainer
}

// ExaminedContainer is one container of the Engine, of whichever project.
type ExaminedContainer struct {
	Replica
	Project string // its Compose label; empty for others
	Holder  string // the service whose names it holds; empty for others
	PID     int    // of its first process, on the host; 0: it does not run

	Program       string // of the first process, without arguments
	StopSignal    string // "SIGTERM" where nothing else is said
	StopTimeout   time.Duration
	RestartPolicy string
	Finished      time.Time
	Error         string // the Engine's words for why it did not start
	HealthExit    int    // of the last healthcheck
	HealthOutput  string // of the last healthcheck
	HealthFailing int    // failures in a row
	MemoryLimit   int64  // bytes; 0: none
	MemoryUsed    int64  // bytes without the page cache that can be dropped; 0: not known
	Tail          []string
}
