package steady

// Caller is who has streams open to a service through the proxy: WebSockets, SSE
// and TCP connections.
type Caller struct {
	Service string `json:"service"` // the one that is called
	Address string `json:"address"` // of the client, without its port
	Streams int    `json:"streams"`
}

// Reconnect is a client that will have to connect again, as its streams may
// outlive the replica that serves them.
type Reconnect struct {
	Client  string `json:"client"` // a service of the project, or an address
	Streams int    `json:"streams"`
}
