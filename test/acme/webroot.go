package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mholt/acmez/v3"
	protocol "github.com/mholt/acmez/v3/acme"
)

// Obtain gets a certificate for the host by HTTP-01 alone, as certbot certonly
// --webroot does: it writes into webroot what somebody else serves. It gives the
// chain and the key as PEM.
func (s *Server) Obtain(ctx context.Context, webroot, host string) (chain, key []byte, err error) {
	client, err := s.client(webroot)
	if err != nil {
		return nil, nil, err
	}
	defer client.HTTPClient.CloseIdleConnections()
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	account, err := client.NewAccount(ctx, protocol.Account{TermsOfServiceAgreed: true, PrivateKey: mine})
	if err != nil {
		return nil, nil, fmt.Errorf("make an account: %w", err)
	}
	signs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	got, err := client.ObtainCertificateForSANs(ctx, account, signs, []string{host})
	if err != nil {
		return nil, nil, fmt.Errorf("obtain a certificate for %s: %w", host, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signs)
	if err != nil {
		return nil, nil, err
	}
	return got[0].ChainPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

func (s *Server) client(webroot string) (*acmez.Client, error) {
	root, err := os.ReadFile(s.CARoot)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(root) {
		return nil, errors.New("no certificate in " + s.CARoot)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
	return &acmez.Client{
		Client:           &protocol.Client{Directory: s.CA, HTTPClient: &http.Client{Transport: tr}},
		ChallengeSolvers: map[string]acmez.Solver{protocol.ChallengeTypeHTTP01: served(webroot)},
	}, nil
}

// served is a directory whose files somebody else serves.
type served string

func (dir served) file(c protocol.Challenge) string {
	return filepath.Join(string(dir), filepath.FromSlash(c.HTTP01ResourcePath()))
}

// Present writes the answer to a challenge.
func (dir served) Present(_ context.Context, c protocol.Challenge) error {
	file := dir.file(c)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(c.KeyAuthorization), 0o644)
}

// CleanUp removes it.
func (dir served) CleanUp(_ context.Context, c protocol.Challenge) error {
	return os.Remove(dir.file(c))
}
