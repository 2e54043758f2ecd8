package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"

	"github.com/prestage/prestage/internal/lotasim"
)

// Options of a Store. All are needed but the last two.
type Options struct {
	Dir           string // made when missing; objects survive in it
	AccessKey     string // the key pair that owns the buckets
	SecretKey     string
	Region        string // what requests are signed for
	LOTADomain    string // as lotasim.Options has it
	PrimaryDomain string
	ListOnlyKey   string // a second access key, of the same secret, that may list but not read; "": none
	Versions      bool   // buckets can keep versions; the server says so on the standard output
}

func (o Options) check() error {
	for _, field := range []struct{ name, value string }{
		{"folder", o.Dir},
		{"access key", o.AccessKey},
		{"secret key", o.SecretKey},
		{"region", o.Region},
		{"LOTA domain", o.LOTADomain},
		{"primary domain", o.PrimaryDomain},
	} {
		if field.value == "" {
			return fmt.Errorf("the %s is missing", field.name)
		}
	}
	if o.ListOnlyKey == o.AccessKey {
		return fmt.Errorf("the access key %s cannot be the one that may only list, too", o.AccessKey)
	}
	return nil
}

// Store is two S3 servers, one for each domain, over one folder.
type Store struct {
	opts     Options
	accounts *accounts
	workDir  string // to go back to
	objects  string
	backend  *posix.Posix
	sockets  string
	lota     *api
	primary  *api
}

// inUse guards the working directory.
var inUse atomic.Bool

// maxCopyBytes is S3's limit for a copy in one request, 5 GiB. Without it the
// library refuses every copy.
const maxCopyBytes = 5 << 30

// New starts a Store, which must be closed. Until then the process's working
// directory is the one of the objects.
func New(ctx context.Context, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("store options: %w", err)
	}
	if !inUse.CompareAndSwap(false, true) {
		return nil, errors.New("store: a process can have one at a time, since it works in the working directory")
	}
	s := &Store{opts: o, accounts: newAccounts(o)}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("store in %s: %w", o.Dir, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	var err error
	if s.workDir, err = os.Getwd(); err != nil {
		return err
	}
	dir, err := filepath.Abs(s.opts.Dir)
	if err != nil {
		return err
	}
	s.objects = filepath.Join(dir, "objects")
	attributes := filepath.Join(dir, "attributes")                // in files, as not every file system has extended ones
	options := posix.PosixOpts{CopyObjectThreshold: maxCopyBytes} // SideCarDir stays empty: it is only printed to the standard output
	dirs := []string{s.objects, attributes}
	if s.opts.Versions {
		options.VersioningDir = filepath.Join(dir, "versions")
		dirs = append(dirs, options.VersioningDir)
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return err
		}
	}
	sidecar, err := meta.NewSideCar(attributes)
	if err != nil {
		return err
	}
	if s.backend, err = posix.New(s.objects, sidecar, options); err != nil {
		return err
	}
	if s.sockets, err = socketDir(); err != nil {
		return err
	}
	if s.lota, err = s.serve(ctx, "lota.sock", s.opts.LOTADomain); err != nil {
		return err
	}
	s.primary, err = s.serve(ctx, "primary.sock", s.opts.PrimaryDomain)
	return err
}

func (s *Store) serve(ctx context.Context, socket, domain string) (*api, error) {
	return startAPI(ctx, s.backend, s.accounts, s.opts.Region, domain, filepath.Join(s.sockets, socket))
}

// Backends makes s the backend of a Sim with the same domains.
func (s *Store) Backends() lotasim.Backends {
	return lotasim.Backends{LOTA: s.LOTA(), Primary: s.Primary(), HasBucket: s.HasBucket}
}

// LOTA serves <bucket>.<LOTADomain>.
func (s *Store) LOTA() http.Handler { return s.lota.proxy }

// Primary serves <bucket>.<PrimaryDomain>.
func (s *Store) Primary() http.Handler { return s.primary.proxy }

// Close ends the servers and goes back to the working directory of before. The
// objects stay.
func (s *Store) Close() error {
	var errs []error
	for _, a := range []*api{s.lota, s.primary} {
		errs = append(errs, a.close())
	}
	if s.backend != nil {
		s.backend.Shutdown()
	}
	if s.sockets != "" {
		errs = append(errs, os.RemoveAll(s.sockets))
	}
	if s.workDir != "" {
		errs = append(errs, os.Chdir(s.workDir))
	}
	inUse.Store(false)
	return errors.Join(errs...)
}

// maxSocketPath is what fits into a socket's address on every system, less the
// name of the socket.
const maxSocketPath = 80

// socketDir makes a folder with a short name, as the path of a unix socket is
// limited to about a hundred bytes.
func socketDir() (string, error) {
	dir, err := os.MkdirTemp("", "lotasim")
	if err != nil || len(dir) <= maxSocketPath {
		return dir, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return os.MkdirTemp("/tmp", "lotasim")
}
