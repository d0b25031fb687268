package steady

import "time"

// Hold keeps what comes to a service waiting at the proxy while its one instance
// is replaced: neither refused nor lost, within bounds. A route and a pool that
// have one are shut; the shift that takes it away lets all go on.
type Hold struct {
	Most  int           `json:"most"`  // requests and connections that may wait; what comes beyond is refused at once, with 503 where it is HTTP
	Bytes int64         `json:"bytes"` // of bodies that may be in memory meanwhile; the rest is left in the sockets
	For   time.Duration `json:"for"`   // how long any of them may wait
	// Lease is how long the gate stays shut unless somebody renews it: the proxy
	// opens it by itself, so that no dead process can keep it shut.
	Lease time.Duration `json:"lease"`
}
