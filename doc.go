// Package steady holds the nouns of steady: what a Compose file asks of a
// service, what was released, what is observed, what will be done about it and
// what happened. It does no I/O, starts no goroutine and takes no context; a
// test holds it to that (imports_test.go).
package steady
