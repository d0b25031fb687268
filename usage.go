package steady

// Limits are what deploy.resources.limits, or mem_limit and cpus, allow one
// replica; 0: no limit.
type Limits struct {
	CPUs   float64 `json:"cpus"`   // cores
	Memory int64   `json:"memory"` // bytes
}

// Usage is what one replica uses now.
type Usage struct {
	CPU        float64 `json:"cpu"`         // cores, since the last time somebody asked but no longer than 15 s ago
	CPUSeconds float64 `json:"cpu_seconds"` // since it started
	Memory     int64   `json:"memory"`      // bytes, without the file cache that the kernel takes back when it needs it
}
