// Package load fires five loads at a server over plain sockets and counts
// truthfully what was lost.
//
// It is open loop: request i of a load is due at start + i/rate, whatever the
// server does, and its latency counts from then. It writes and parses HTTP/1.1
// itself, never retries, and holds no connection pool that would hide a loss: a
// connection is left unused only when its end could be seen before the first
// byte of the request was written. What happens later is counted by phase.
package load
