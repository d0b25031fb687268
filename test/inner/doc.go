// Package inner is what calls a service from within its project's network, and
// what is called: a TCP protocol in which the server speaks first, its clients,
// and the report of all clients together. client and server are the programs.
//
// The protocol is made of lines. The server greets at once:
//
//	READY release=3
//
// then answers each line with the same line and its release, until QUIT:
//
//	ECHO c-17 …        ECHO c-17 … release=3
//	BULK 1048576       that many bytes
//	QUIT               BYE
package inner
