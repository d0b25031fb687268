package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"

	"gesalpai.ch/steady/internal/proxy"
)

// serveBackend answers every request with size bytes and prints its address.
func serveBackend(ctx context.Context, size int) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	body := bytes.Repeat([]byte("x"), size)
	length := strconv.Itoa(size)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", length)
		w.Write(body)
	})}
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func serveProxy(ctx context.Context, dir, profile string) error {
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	p, err := proxy.New(proxy.Options{
		Socket: filepath.Join(dir, "proxy.sock"), TableFile: filepath.Join(dir, "table.json"),
	})
	if err != nil {
		return err
	}
	return p.Run(ctx)
}
