package steady

// Process is a container's first process, told apart from every process that has
// or will have its number. An address says nothing of whose it is: an Engine gives
// it to the next container that starts.
type Process struct {
	Boot    string `json:"boot"`    // of the machine: /proc/sys/kernel/random/boot_id
	PID     int    `json:"pid"`     // on the host
	Started uint64 `json:"started"` // in clock ticks since the boot: field 22 of /proc/PID/stat
	// Network: the addresses are those of the process's network namespace, as anyone
	// can see under /proc/PID/net. False where that shows none: a runtime with a
	// network stack of its own, or the host's network.
	Network bool `json:"network,omitempty"`
}
