package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/prestage"
)

// targets is what warm and plan take.
type targets struct {
	URIs        []string `arg:"" name:"uri" help:"s3://bucket/key, or s3://bucket/prefix/ with the slash; models:/name/version, models:/name@alias or runs:/id/path of MLflow's; - reads one a line from standard input, of S3's."`
	Manifest    bool     `help:"The URIs name manifests: what these list is meant."`
	Subject     string   `help:"Judge by the rules for events on this subject; by default no rule with subjects matches."`
	WholeBucket bool     `help:"Allow s3://bucket/, which makes a whole bucket hot."`
}

// maxURIs bounds what one call takes; a manifest takes more.
const maxURIs = 100_000

// requests are the targets as the engine wants them: all single objects are
// one request. Those of models are left out.
func (t targets) requests(stdin io.Reader) ([]prestage.Request, error) {
	var objects prestage.Request
	var others []prestage.Request
	n := 0
	add := func(uri string) error {
		if n++; n > maxURIs {
			return fmt.Errorf("more than %d URIs: name a manifest", maxURIs)
		}
		ref, err := object.ParseURI(uri)
		switch {
		case err != nil:
			return fmt.Errorf("URI %d: %w", n, err)
		case t.Manifest:
			others = append(others, prestage.Request{Manifest: ref})
		case ref.Key == "" && !t.WholeBucket:
			return fmt.Errorf("%s is a whole bucket: --whole-bucket if you mean it", ref)
		case ref.IsPrefix():
			others = append(others, prestage.Request{Prefix: ref, Stated: true, WholeBucket: t.WholeBucket})
		default:
			objects.Objects = append(objects.Objects, object.Attrs{Ref: ref, Size: object.UnknownSize})
		}
		return nil
	}
	asked := false
	for _, uri := range t.URIs {
		if t.isModel(uri) {
			asked = true
			continue
		}
		if uri != "-" {
			if err := add(uri); err != nil {
				return nil, err
			}
			continue
		}
		lines := bufio.NewScanner(stdin)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" {
				if err := add(line); err != nil {
					return nil, err
				}
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	if len(objects.Objects) > 0 {
		others = append([]prestage.Request{objects}, others...)
	}
	if len(others) == 0 && !asked {
		return nil, errors.New("standard input named no URI")
	}
	now := time.Now()
	for i := range others {
		others[i].Seen, others[i].Complete, others[i].Subject = now, true, t.Subject
	}
	return others, nil
}

// title names a request in what is printed.
func title(r prestage.Request) string {
	switch {
	case r.Prefix.Bucket != "":
		return r.Prefix.String()
	case r.Manifest.Bucket != "":
		return r.Manifest.String()
	case len(r.Objects) == 1:
		return r.Objects[0].Ref.String()
	default:
		return fmt.Sprintf("%d objects", len(r.Objects))
	}
}
