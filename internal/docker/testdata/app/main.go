// app is what the containers of the tests run: "serve" until told to stop, "exit"
// with 3 after three lines, "lookup NAME" by the network's own resolver, "read FILE".
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "serve":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		fmt.Println("serving")
		fmt.Fprintln(os.Stderr, strings.Repeat("long ", 8000)+"end")
		<-ctx.Done()
		fmt.Println("done")
	case "exit":
		fmt.Println("one")
		fmt.Println("two")
		fmt.Println("three")
		os.Exit(3)
	case "lookup":
		lookup(os.Args[2])
	case "read":
		b, err := os.ReadFile(os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Print(string(b))
	case "fail":
		fmt.Fprintln(os.Stderr, "this step cannot work")
		os.Exit(4)
	case "sleep":
		time.Sleep(time.Hour)
	}
}

func lookup(name string) {
	r := &net.Resolver{PreferGo: true}
	found, err := r.LookupHost(context.Background(), name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	slices.Sort(found)
	fmt.Print(strings.Join(found, " "))
}
