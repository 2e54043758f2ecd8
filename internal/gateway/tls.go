package gateway

import (
	"crypto/tls"
	"errors"
	"log/slog"
)

// NewTLS is what the gateway speaks TLS with: the certificate, with those that
// it was issued by, in one PEM file, and its key in another. They are read again
// when they change; while one of the two is new already and the other is not, the
// old pair stays.
func NewTLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	pair, err := newLive(func(contents [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil { // which is not repeated, it may hold a part of the files
			return nil, errors.New("want a certificate and its private key, not encrypted, as PEM: these are no such pair")
		}
		return &pair, nil
	}, log, certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate{pair}.forHello}, nil
}

// certificate is a pair of files.
type certificate struct{ *live[*tls.Certificate] }

func (c certificate) forHello(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.get(hello.Context()), nil
}
