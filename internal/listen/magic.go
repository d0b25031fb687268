package listen

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// account is what certificates of one ACME account have in common.
type account struct{ ca, root, email, http, https string }

// magic is certmagic set up for one account.
type magic struct {
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	broken error // the roots' file cannot be read
}

// obtainWithin bounds one attempt.
const obtainWithin = 2 * time.Minute

// magicOf gives the one of the certificate's account. c.mu is held.
func (c *Certificates) magicOf(w Certificate) *magic {
	key := account{w.CA, w.CARoot, w.Email, w.HTTP, w.HTTPS}
	if m := c.magic[key]; m != nil && m.broken == nil {
		return m
	}
	m := &magic{}
	m.config = certmagic.New(c.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: c.dir}, Logger: zap.NewNop(), OnEvent: c.heard,
		// A staple is fetched when a certificate is read: no shift waits for that.
		OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	roots, err := Roots(w.CARoot)
	m.broken = err
	host, port := split(w.HTTP)
	_, tlsPort := split(w.HTTPS)
	m.issuer = certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: w.CA, TestCA: w.CA, Email: w.Email, Agreed: true, TrustedRoots: roots, Logger: zap.NewNop(),
		// Where our listeners are: certmagic sees that somebody answers there, and
		// opens none of its own.
		ListenHost: host, AltHTTPPort: port, AltTLSALPNPort: tlsPort,
	})
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	c.magic[key] = m
	return m
}

// Roots reads who is trusted to be an ACME server; nil, the system's roots, where no
// file is named. An error is one sentence that names the file.
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("roots of the ACME server: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("roots of the ACME server: no certificate in %s", file)
	}
	return pool, nil
}

func split(addr string) (host string, port int) {
	host, digits, _ := net.SplitHostPort(addr)
	port, _ = strconv.Atoi(digits)
	return host, port
}

// attempt is one attempt's way out of certmagic, which would try again by itself
// and keep to itself why it failed.
type attempt struct {
	failed error
	end    context.CancelFunc
}

type attemptKey struct{}

// load brings the certificate that is kept into the cache, in the place of any
// other of the host. An error is that there is none; fresh says whether it need not
// be renewed yet.
func (m *magic) load(ctx context.Context, cache *certmagic.Cache, host string) (fresh bool, err error) {
	cert, err := m.config.CacheManagedCertificate(ctx, host)
	if err != nil {
		return false, err
	}
	for _, other := range cache.AllMatchingCertificates(host) {
		if other.Hash() != cert.Hash() {
			cache.Remove([]string{other.Hash()})
		}
	}
	return !cert.NeedsRenewal(m.config), nil
}

// obtain makes one attempt to have the certificate, or a newer one.
func (m *magic) obtain(ctx context.Context, cache *certmagic.Cache, host string) error {
	if m.broken != nil {
		return m.broken
	}
	ctx, cancel := context.WithTimeout(ctx, obtainWithin)
	defer cancel()
	fresh, err := m.load(ctx, cache, host)
	if fresh {
		return nil
	}
	a := &attempt{end: cancel}
	asking := context.WithValue(ctx, attemptKey{}, a)
	if err == nil {
		err = m.config.RenewCertAsync(asking, host, false)
	} else {
		err = m.config.ObtainCertAsync(asking, host)
	}
	switch {
	case a.failed != nil:
		return a.failed
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return fmt.Errorf("no answer from the ACME server within %s", obtainWithin)
	case err != nil:
		return err
	}
	_, err = m.load(ctx, cache, host)
	return err
}

// heard is told by certmagic what happens.
func (c *Certificates) heard(ctx context.Context, event string, about map[string]any) error {
	host, _ := about["identifier"].(string)
	known, _ := c.answers.Load(host)
	s, _ := known.(*site)
	switch event {
	case "cert_failed":
		err, _ := about["error"].(error)
		if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
			a.failed = err
			a.end()
		} else if s != nil && s.note(err, time.Time{}) { // certmagic tries again
			c.log.Warn("certificate not renewed", "host", host, "err", err)
		}
	case "cert_obtained":
		if renewal, _ := about["renewal"].(bool); renewal && s != nil {
			s.note(nil, time.Time{})
			c.log.Info("certificate renewed", "host", host)
		}
	}
	return nil
}

// configOf tells certmagic's maintenance whose a certificate is.
func (c *Certificates) configOf(cert certmagic.Certificate) (*certmagic.Config, error) {
	for _, name := range cert.Names {
		if s, ok := c.answers.Load(name); ok {
			return s.(*site).magic.config, nil
		}
	}
	return nil, fmt.Errorf("certificate of %v is not asked for any more", cert.Names)
}
