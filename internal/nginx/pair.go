package nginx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"gesalpai.ch/steady"
)

// soonExpired is how long before its end a certificate is warned of.
const soonExpired = 14 * 24 * time.Hour

// pair reads the site's certificate and key before anything is touched, and says
// what is odd about them.
func pair(s steady.Site, now time.Time) (warnings []string, err error) {
	if !s.TLS() {
		return nil, nil
	}
	kept, err := tls.LoadX509KeyPair(s.Certificate, s.CertificateKey)
	if err != nil {
		return nil, badPair(s, err)
	}
	leaf := kept.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return nil, steady.ErrUsage.With(fmt.Sprintf("certificate %s expired on %s", s.Certificate, leaf.NotAfter.Format(time.DateOnly)), "renew it first, as with certbot renew")
	case now.Add(soonExpired).After(leaf.NotAfter):
		warnings = append(warnings, fmt.Sprintf("certificate %s expires on %s", s.Certificate, leaf.NotAfter.Format(time.DateOnly)))
	}
	for _, d := range s.Domains {
		if !covers(leaf, d) {
			warnings = append(warnings, fmt.Sprintf("certificate %s is not for %s", s.Certificate, d))
		}
	}
	return warnings, nil
}

// covers says whether a certificate is for a server name, wildcards included.
func covers(leaf *x509.Certificate, domain string) bool {
	for _, name := range leaf.DNSNames {
		if name == domain {
			return true
		}
	}
	return leaf.VerifyHostname(domain) == nil
}

func badPair(s steady.Site, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return steady.ErrUsage.With(fmt.Sprintf("%s cannot be read: %v", path.Path, path.Err), "ls -l "+path.Path)
	}
	return steady.ErrUsage.With(fmt.Sprintf("%s and %s are no pair: %v", s.Certificate, s.CertificateKey, err),
		"openssl x509 -noout -text -in "+s.Certificate)
}

// expiry is when a certificate's file says it ends; zero where it cannot be told.
func expiry(certificate, key string) time.Time {
	kept, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return time.Time{}
	}
	return kept.Leaf.NotAfter
}
