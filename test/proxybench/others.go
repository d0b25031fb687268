package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// nginxConf is what a careful person would write: workers for every core, kept
// connections both ways.
const nginxConf = `
worker_processes auto;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.err;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  upstream app { server %[3]s; keepalive 256; keepalive_requests 1000000; }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`

func (b *bench) startNginx(ctx context.Context) (*subject, error) {
	s := &subject{name: "nginx", addr: spare()}
	conf := filepath.Join(b.dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, b.dir, s.addr, b.backend), 0o600); err != nil {
		return nil, err
	}
	if err := b.start(exec.Command("nginx", "-c", conf, "-g", "daemon off;")); err != nil {
		return nil, err
	}
	return s, answers(ctx, s.addr)
}

func (b *bench) startCaddy(ctx context.Context) (*subject, error) {
	s := &subject{name: "caddy", addr: spare()}
	conf := filepath.Join(b.dir, "Caddyfile")
	text := fmt.Sprintf("{\n admin off\n auto_https off\n}\nhttp://%s {\n reverse_proxy %s\n}\n", s.addr, b.backend)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("caddy", "run", "--config", conf, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir)
	cmd.Stderr = io.Discard
	if err := b.start(cmd); err != nil {
		return nil, err
	}
	return s, answers(ctx, s.addr)
}

func answers(ctx context.Context, addr string) error {
	return retry(ctx, func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// spare is an address that was free a moment ago.
func spare() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:18080"
	}
	defer ln.Close()
	return ln.Addr().String()
}
