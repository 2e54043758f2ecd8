package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prestage/prestage/internal/object"
)

// maxListLine bounds a line of a list: a key of 1,024 bytes, escaped, and what an
// inventory has beside it.
const maxListLine = 64 << 10

// eachListed calls visit with everything that a list names: lines with a URI, or
// the CSV of an S3 inventory, whose rows begin with bucket and key ("the key is
// URL-encoded and must be decoded", S3 User Guide, "Amazon S3 Inventory list").
// A first row that names columns tells where key, size and etag are; without it
// a third column is the size if it is a number, or the sixth in an inventory of
// all versions, where fourth and fifth say which is the latest and which are
// delete markers. Of these the latest ones are meant. Either may be gzip.
func eachListed(path string, stdin io.Reader, visit func(object.Attrs) error) error {
	if path == "-" {
		if err := parseList(stdin, visit); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := parseList(file, visit); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func parseList(file io.Reader, visit func(object.Attrs) error) error {
	in := bufio.NewReaderSize(file, maxListLine)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReaderSize(z, maxListLine)
	}
	cols := columns{bucket: 0, key: 1, size: 2, etag: -1, latest: -1, marker: -1}
	for n := 1; ; n++ {
		raw, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d is longer than %d bytes", n, maxListLine)
		case err != nil && !errors.Is(err, io.EOF): // what was read may be half a key
			return fmt.Errorf("line %d: %w", n, err)
		}
		text := strings.TrimSpace(strings.TrimPrefix(string(raw), "\ufeff"))
		named, header := columns{}, false
		if n == 1 {
			named, header = namedColumns(text)
		}
		switch {
		case header:
			cols = named
		case text != "":
			a, meant, err := cols.read(text)
			if err == nil && meant {
				err = visit(a)
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if err != nil {
			return nil
		}
	}
}

// columns says where a row of an inventory has what; -1: nowhere.
type columns struct{ bucket, key, size, etag, latest, marker int }

// withVersions are those of a row that nobody named columns for.
var withVersions = columns{bucket: 0, key: 1, size: 5, etag: -1, latest: 3, marker: 4}

func row(text string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	fields, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("an empty row")
	}
	return fields, err
}

func namedColumns(text string) (columns, bool) {
	fields, err := row(text)
	if err != nil {
		return columns{}, false
	}
	at := func(names ...string) int {
		return slices.IndexFunc(fields, func(f string) bool {
			return slices.Contains(names, strings.ToLower(strings.NewReplacer(" ", "", "_", "").Replace(f)))
		})
	}
	c := columns{bucket: at("bucket"), key: at("key"), size: at("size"), etag: at("etag"), latest: at("islatest"), marker: at("isdeletemarker")}
	return c, c.bucket >= 0 && c.key >= 0
}

// read is an object, and whether it is meant: a row of another version than the
// latest is not, nor is one of a delete marker.
func (c columns) read(text string) (a object.Attrs, meant bool, err error) {
	if strings.Contains(text, "://") && !strings.HasPrefix(text, `"`) {
		ref, err := object.ParseURI(text)
		return object.Attrs{Ref: ref, Size: object.UnknownSize}, true, err
	}
	fields, err := row(text)
	if err != nil {
		return a, false, err
	}
	field := func(column int) string {
		if column < 0 || column >= len(fields) {
			return ""
		}
		return fields[column]
	}
	if v := withVersions; c.latest < 0 && isBool(field(v.latest)) && isBool(field(v.marker)) {
		c = v
	}
	if len(fields) <= max(c.bucket, c.key) {
		return a, false, errors.New("neither a URI nor a row of an inventory: want s3://bucket/key, or bucket,key")
	}
	key, err := url.QueryUnescape(fields[c.key])
	if err != nil {
		return a, false, fmt.Errorf("key: %w", err)
	}
	a = object.Attrs{Ref: object.Ref{Bucket: fields[c.bucket], Key: key}, Size: object.UnknownSize}
	if n, err := strconv.ParseInt(field(c.size), 10, 64); err == nil && n >= 0 {
		a.Size = n
	}
	a.ETag = object.TrimETag(field(c.etag))
	meant = !strings.EqualFold(field(c.latest), "false") && !strings.EqualFold(field(c.marker), "true")
	return a, meant, a.Check()
}

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }
