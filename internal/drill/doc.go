// Package drill fires an open-loop load at a service and counts truthfully what is
// lost of it, while somebody rolls the service out.
//
// Request i is due at start + i/rate, whatever the server does, and its latency
// counts from then. HTTP/1.1 is written and parsed here, nothing is ever sent
// twice, and no connection pool hides a loss: a connection is left unused only when
// its end could be seen before the first byte of the request was written. What
// happens later is counted by phase. The rig's loads (test/load) are made of the
// same exchanges.
package drill
