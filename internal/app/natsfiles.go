package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/nats-io/nkeys"
)

// natsFileBytes is more than any file of certificates or credentials has.
const natsFileBytes = 1 << 20

// checkNATSFiles reads what the client will read later, at each connect. The
// client would name neither variable nor file, and with a wrong NATS_CREDS it
// would try for ever.
func (c *Config) checkNATSFiles() error {
	contents := map[string][]byte{}
	for _, f := range []struct {
		name, path, want string
		good             func([]byte) bool
	}{
		{"NATS_CREDS", c.NATSCreds, "want a credentials file, which has a user's JWT and NKey seed", isCredentials},
		{"NATS_NKEY", c.NATSNKey, "want a file with a user's NKey seed (SU...)", isUserSeed},
		{"NATS_CA", c.NATSCA, "want a PEM file with CA certificates", hasCertificate},
		{"NATS_CERT", c.NATSCert, "want a PEM file with the client's certificate", hasCertificate},
		{"NATS_KEY", c.NATSKey, "want a PEM file with the client's private key", hasPrivateKey},
	} {
		if f.path == "" {
			continue
		}
		content, err := readSmall(f.path)
		if err != nil {
			return &SettingError{f.name, f.path, fmt.Sprintf("%s: %v", f.want, err)}
		}
		if !f.good(content) {
			return &SettingError{f.name, f.path, f.want + ": the file holds something else"}
		}
		contents[f.name] = content
	}
	if c.NATSCert == "" || c.NATSKey == "" {
		return nil
	}
	// The error is not shown, it may hold a part of the files.
	if _, err := tls.X509KeyPair(contents["NATS_CERT"], contents["NATS_KEY"]); err != nil {
		return &SettingError{"NATS_KEY", c.NATSKey, "want the private key, not encrypted, of the certificate in NATS_CERT: the two do not belong together"}
	}
	return nil
}

// readSmall reads a file that may be read again at any time. Its error does not
// repeat the path.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, natsFileBytes+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(content) > natsFileBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", natsFileBytes)
	}
	return content, nil
}

// reason is what went wrong with a file, without its path.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func isCredentials(content []byte) bool {
	// Where nothing looks like a JWT, nkeys returns all of the file.
	jwt, err := nkeys.ParseDecoratedJWT(content)
	return err == nil && strings.Count(jwt, ".") == 2 && !strings.ContainsAny(jwt, " \t\r\n") && isUserSeed(content)
}

func isUserSeed(content []byte) bool {
	pair, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return false
	}
	pair.Wipe()
	return true
}

func hasCertificate(content []byte) bool { return x509.NewCertPool().AppendCertsFromPEM(content) }

// hasPrivateKey looks for the block only: what is in it is checked against the
// certificate.
func hasPrivateKey(content []byte) bool { return strings.Contains(string(content), "PRIVATE KEY-----") }
