package listen

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"
)

// LoadPair reads a certificate and its key and says what speaks against showing
// it for a host: they do not belong together, it is not valid now, or it is
// another's. An error is one sentence that names the file.
func LoadPair(file, key, host string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(file, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %s", file, key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	now := time.Now()
	switch {
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("certificate %s expired on %s", file, pair.Leaf.NotAfter.Format(time.DateOnly))
	case now.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("certificate %s is valid from %s only", file, pair.Leaf.NotBefore.Format(time.DateOnly))
	}
	name := strings.Replace(host, "*", "any", 1) // of a wildcard, one label stands for all
	if host != "*" && pair.Leaf.VerifyHostname(name) != nil {
		return nil, fmt.Errorf("certificate %s is for %s, not for %s", file, strings.Join(pair.Leaf.DNSNames, ", "), host)
	}
	return &pair, nil
}
