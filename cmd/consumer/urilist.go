package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
)

// lotSize is how many single objects are one request. Of a list, a pass holds no
// more than these.
const lotSize = 1000

// uriList is the URIs of a command line, and those of a file of any length.
type uriList struct {
	named []object.Ref
	name  string // of the file, "" when there is none
	lines io.Reader
	close func()
}

// newURIList checks what the command line names, and opens the file.
func newURIList(uris []string, file string, stdin io.Reader) (*uriList, error) {
	l := &uriList{name: file, close: func() {}}
	for n, uri := range uris {
		ref, err := parseTarget(uri)
		if err != nil {
			return nil, fmt.Errorf("URI %d: %w", n+1, err) // it may hold a secret
		}
		l.named = append(l.named, ref)
	}
	switch file {
	case "":
	case "-":
		l.name, l.lines = "standard input", stdin
	default:
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--from-list: %w", err)
		}
		l.lines, l.close = f, func() { _ = f.Close() }
	}
	return l, nil
}

func parseTarget(uri string) (object.Ref, error) {
	ref, err := object.ParseURI(uri)
	if err == nil && ref.Key == "" {
		err = errors.New("this is a whole bucket, name a prefix of it")
	}
	return ref, err
}

// each calls use with a request for each prefix, and for each lot of objects,
// until it returns false, and fail with each line that is no URI.
func (l *uriList) each(use func(prestage.Request) (more bool, err error), fail func(line, why string) error) error {
	var lot []object.Attrs
	flush := func() (bool, error) {
		if len(lot) == 0 {
			return true, nil
		}
		req := prestage.Request{Objects: lot, AskSizes: true}
		lot = nil
		return use(req)
	}
	add := func(ref object.Ref) (bool, error) {
		if ref.IsPrefix() {
			return use(prestage.Request{Prefix: ref, Complete: true, Seen: time.Now()})
		}
		// A bucket that is not allowed is refused with its whole lot, so that each
		// lot has one bucket.
		if len(lot) == lotSize || (len(lot) > 0 && lot[0].Bucket != ref.Bucket) {
			if more, err := flush(); err != nil || !more {
				return more, err
			}
		}
		lot = append(lot, object.Attrs{Ref: ref, Size: object.UnknownSize})
		return true, nil
	}
	for _, ref := range l.named {
		if more, err := add(ref); err != nil || !more {
			return err
		}
	}
	if l.lines != nil {
		lines := bufio.NewScanner(l.lines)
		for n := 1; lines.Scan(); n++ {
			text := strings.TrimSpace(lines.Text())
			if text == "" {
				continue
			}
			ref, err := parseTarget(text)
			if err != nil {
				if err := fail(fmt.Sprintf("%s:%d", l.name, n), err.Error()); err != nil {
					return err
				}
				continue
			}
			if more, err := add(ref); err != nil || !more {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read %s: %w", l.name, err)
		}
	}
	_, err := flush()
	return err
}
