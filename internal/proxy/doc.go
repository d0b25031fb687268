// Package proxy is the data plane: it listens on what projects publish, passes
// every request and connection to an upstream that the table in force lists, and
// counts what became of each. Its rules, and what measured them, are in
// zero-loss.md; the chief ones:
//
//   - A claim chooses an upstream and counts the request in under one lock, so
//     that when a shift returns, no new request can go to what it left out and
//     none that went before can be overlooked by a drain.
//   - An idle client connection is not closed before an answer on it said
//     Connection: close. The exception is Limits.IdleTimeout, longer than clients
//     keep connections. http.Server.Shutdown is never called.
//   - Nothing is sent twice that could do harm twice.
//
// A Proxy is driven through its control socket by a Client. It knows containers
// by their id only and never talks to Docker.
package proxy
