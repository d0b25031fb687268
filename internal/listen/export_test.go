package listen

// Inside is within, for tests that open sockets of their own in a namespace.
var Inside = within
