// Talker prints LINES lines as fast as it can and exits, or, with STAY set,
// awaits SIGTERM, prints as many again, and exits then.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	lines, _ := strconv.Atoi(os.Getenv("LINES"))
	for n := 0; n < lines; n++ {
		fmt.Printf("id=talk-%d status=200 release=1\n", n)
	}
	if os.Getenv("STAY") == "" {
		return
	}
	<-term
	for n := lines; n < 2*lines; n++ {
		fmt.Printf("id=talk-%d status=200 release=1\n", n)
	}
}
