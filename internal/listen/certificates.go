package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Certificate says where the certificate of one host comes from: files, else an
// ACME server.
type Certificate struct {
	Host string // lower case; "*.example.ch" and "*" with files only

	File, Key string // PEM files, the chain included

	CA     string // URL of the ACME server's directory
	CARoot string // PEM file of roots trusted to be that server; empty: the system's
	Email  string // of the account; empty: none
	HTTP   string // address where the listener answers HTTP-01 challenges
	HTTPS  string // address where the listener answers TLS-ALPN-01 challenges
}

// CertificateState is what became of a Certificate.
type CertificateState struct {
	Host     string
	Source   string    // the file, or the ACME directory
	Issuer   string    // as the certificate has it; empty: there is none yet
	NotAfter time.Time // zero: there is none yet
	Err      error     // why it could not be had, read or renewed the last time
	Next     time.Time // of the next attempt to have it; zero: none is due
}

// filesEvery is how often certificate files are looked at for a change.
const filesEvery = time.Minute

// Certificates are the certificates that TLS listeners show, by host. It is safe
// for concurrent use.
type Certificates struct {
	dir     string
	log     *slog.Logger
	cache   *certmagic.Cache
	answers sync.Map // host → *site: by which certmagic finds its way back

	mu    sync.Mutex // one Put at a time
	sites atomic.Pointer[map[string]*site]
	magic map[account]*magic
	work  sync.WaitGroup
	life  context.Context
	end   context.CancelFunc
}

// OpenCertificates keeps what comes from ACME servers in dir, keys included: 0600
// in a directory that is made 0700. Close it.
func OpenCertificates(dir string, log *slog.Logger) *Certificates {
	c := &Certificates{dir: dir, log: log, magic: map[account]*magic{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.sites.Store(&map[string]*site{})
	c.cache = certmagic.NewCache(certmagic.CacheOptions{GetConfigForCert: c.configOf, Logger: zap.NewNop()})
	c.work.Go(c.watch)
	return c
}

// Close ends attempts under way and waits for them.
func (c *Certificates) Close() {
	c.end()
	c.work.Wait()
	c.cache.Stop()
}

// Put has exactly these certificates shown from now on. It never fails and waits
// for no server: what cannot be had is tried again, and State says why.
func (c *Certificates) Put(wanted []Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := *c.sites.Load()
	after := make(map[string]*site, len(wanted))
	for _, w := range wanted {
		s := before[w.Host]
		if s == nil || s.Certificate != w {
			s = c.open(w)
		}
		if w.File != "" {
			s.read(c.log)
		}
		after[w.Host] = s
	}
	c.sites.Store(&after)
	for host, s := range before {
		if after[host] != s {
			s.leave()
		}
		if after[host] == nil {
			c.answers.CompareAndDelete(host, s)
			c.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: host}})
		}
	}
}

// open makes the site of one host, and begins to have its certificate.
func (c *Certificates) open(w Certificate) *site {
	s := &site{Certificate: w, leave: func() {}}
	if w.File != "" {
		return s
	}
	s.magic = c.magicOf(w)
	c.answers.Store(w.Host, s)
	life, leave := context.WithCancel(c.life)
	s.leave = leave
	// From the disk it is there before the first client comes.
	if fresh, _ := s.magic.load(life, c.cache, w.Host); fresh {
		return s
	}
	c.work.Go(func() { s.obtain(life, c) })
	return s
}

// watch looks at the files now and then.
func (c *Certificates) watch() {
	tick := time.NewTicker(filesEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-tick.C:
		}
		for _, s := range *c.sites.Load() {
			if s.File != "" {
				s.read(c.log)
			}
		}
	}
}

// find gives the site of a host: exact before wildcard before any; nil for none.
func (c *Certificates) find(host string) *site {
	sites := *c.sites.Load()
	if s := sites[host]; s != nil {
		return s
	}
	if _, rest, ok := strings.Cut(host, "."); ok {
		if s := sites["*."+rest]; s != nil {
			return s
		}
	}
	return sites["*"]
}

// Config is for TLS listeners; protocols are what they speak, the preferred first.
// A client that names a host without certificate gets the alert unrecognized_name
// (RFC 6066, 3).
func (c *Certificates) Config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     append(protocols, acmeALPN),
		GetCertificate: c.shown,
	}
}

// acmeALPN is what an ACME server speaks at a TLS-ALPN-01 challenge (RFC 8737).
const acmeALPN = "acme-tls/1"

func (c *Certificates) shown(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s := c.find(strings.ToLower(hello.ServerName))
	if s == nil {
		return nil, nil
	}
	if s.magic == nil {
		return s.pair.Load(), nil
	}
	cert, err := s.magic.config.GetCertificate(hello)
	if err != nil {
		c.log.Debug("no certificate to show", "host", hello.ServerName, "err", err)
		return nil, nil
	}
	return cert, nil
}

// Challenge answers an ACME server's HTTP-01 challenge. False: it is none of ours,
// and nothing was written.
func (c *Certificates) Challenge(w http.ResponseWriter, r *http.Request, host string) bool {
	if !strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
		return false
	}
	s := c.find(host)
	return s != nil && s.magic != nil && s.magic.issuer.HandleHTTPChallenge(w, r)
}

// Covers says whether a connection on which the client named one host may carry
// requests for another: only where the certificate it was shown is that host's too.
func (c *Certificates) Covers(named, host string) bool {
	a, b := c.find(named), c.find(host)
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	leaf := c.leaf(a)
	return leaf != nil && leaf.VerifyHostname(host) == nil
}

// leaf is the certificate shown for a site, nil where there is none.
func (c *Certificates) leaf(s *site) *x509.Certificate {
	if s.magic == nil {
		if pair := s.pair.Load(); pair != nil {
			return pair.Leaf
		}
		return nil
	}
	for _, cert := range c.cache.AllMatchingCertificates(s.Host) {
		return cert.Leaf
	}
	return nil
}

// State tells of every certificate, by host.
func (c *Certificates) State() []CertificateState {
	sites := *c.sites.Load()
	out := make([]CertificateState, 0, len(sites))
	for _, host := range slices.Sorted(maps.Keys(sites)) {
		s := sites[host]
		st := CertificateState{Host: host, Source: s.File}
		if s.magic != nil {
			st.Source = s.CA
		}
		if leaf := c.leaf(s); leaf != nil {
			st.Issuer, st.NotAfter = leaf.Issuer.String(), leaf.NotAfter
		}
		st.Next, st.Err = s.trouble()
		out = append(out, st)
	}
	return out
}
