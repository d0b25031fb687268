// Package nginx makes the host's nginx the front before the proxy: it renders,
// tests, installs and removes sites. A site names the proxy's own address, so it
// is written once: no rollout touches it.
package nginx

import (
	"path/filepath"
	"sync"

	"gesalpai.ch/steady"
)

// Options say which nginx is meant. The zero value is Debian's.
type Options struct {
	ConfDir string // holds nginx.conf, sites-available and sites-enabled; empty: /etc/nginx
	Binary  string // empty: nginx of the PATH, else /usr/sbin/nginx
}

// Host is one nginx of this machine. Its methods are safe for concurrent use;
// those that change something take turns.
type Host struct {
	confDir string
	binary  string

	mu sync.Mutex // one change at a time
}

// New makes a Host. Nothing is looked at before it is asked something.
func New(o Options) *Host {
	h := &Host{confDir: o.ConfDir, binary: o.Binary}
	if h.confDir == "" {
		h.confDir = steady.DefaultConfDir
	}
	return h
}

func (h *Host) conf() string { return filepath.Join(h.confDir, "nginx.conf") }

// available is the site's file, enabled the link that puts it in force.
func (h *Host) available(name string) string {
	return filepath.Join(h.confDir, "sites-available", name)
}

func (h *Host) enabled(name string) string { return filepath.Join(h.confDir, "sites-enabled", name) }
