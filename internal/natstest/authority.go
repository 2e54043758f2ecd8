package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority of one test.
type Authority struct {
	File string // its certificate, in PEM

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that is valid for an hour.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	template := certificate("authority of " + tb.Name())
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	a := &Authority{key: newKey(tb)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		tb.Fatalf("make an authority: %v", err)
	}
	a.File = writePEM(tb, "CERTIFICATE", der)
	return a
}

// Issue makes a certificate for servers and clients at 127.0.0.1, and its
// private key, both as PEM files.
func (a *Authority) Issue(tb testing.TB) (certFile, keyFile string) {
	tb.Helper()
	template := certificate(tb.Name())
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key := newKey(tb)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		tb.Fatalf("issue a certificate: %v", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("encode a key: %v", err)
	}
	return writePEM(tb, "CERTIFICATE", der), writePEM(tb, "PRIVATE KEY", private)
}

// Server is TLS for Options. With mutual, clients must show a certificate of
// this authority.
func (a *Authority) Server(tb testing.TB, mutual bool) *tls.Config {
	tb.Helper()
	pair, err := tls.LoadX509KeyPair(a.Issue(tb))
	if err != nil {
		tb.Fatalf("load a certificate: %v", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if mutual {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(a.cert)
	}
	return c
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}

func writePEM(tb testing.TB, kind string, der []byte) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}
