package listen

// Inside is inNamespace, for tests that open sockets of their own in a namespace.
var Inside = inNamespace
