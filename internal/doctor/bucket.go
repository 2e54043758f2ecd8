package doctor

import (
	"context"
	"net/http"
	"net/url"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
)

// probeKey is asked for where no object is known. It need not exist: a missing
// one is answered 404 to those who may read.
const probeKey = "prestage-doctor"

// store is what is asked of S3: requests that change nothing, the cache
// included.
type store interface {
	HeadBucket(ctx context.Context, bucket string) error
	List(ctx context.Context, bucket, prefix, token string) (prestage.Page, error)
	Head(ctx context.Context, ref object.Ref) (prestage.Answer, error)
}

// bucket looks at the target's bucket, and in it.
func (d *doctor) bucket(ctx context.Context, u *url.URL, transport *http.Transport) {
	name := d.Target.Bucket
	t := d.topic("bucket %s", name)
	allowed, err := prestage.ParseBuckets(d.Config.Buckets)
	if err != nil || !allowed.Allow(name) {
		t.fail("add it to PRESTAGE_BUCKETS", "PRESTAGE_BUCKETS does not allow it: its events are dead-lettered")
	}
	if !d.resolves(ctx, name+"."+u.Hostname()) {
		return
	}
	cfg := d.AWS
	cfg.Region = d.signedFor()
	d.requests(ctx, t, prestage.NewS3(cfg, prestage.S3Options{Endpoint: u, Transport: transport}))
}

// resolves says whether a bucket's host has an address.
func (d *doctor) resolves(ctx context.Context, host string) bool {
	t := d.topic("dns")
	if d.Config.LOTADial != "" {
		t.fine("%s is not looked up: LOTA_DIAL is set", host)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	addrs, err := d.dns.LookupHost(ctx, host)
	if err != nil {
		t.fail("is the bucket's name right? it is a part of the host's name; a new bucket needs about a minute; LOTA's names resolve only inside a CoreWeave cluster",
			"%s does not resolve: %v", host, err)
		return false
	}
	t.fine("%s resolves to %v", host, addrs[:min(len(addrs), 3)])
	return true
}

// requests asks the bucket, lists it and asks for one object's header.
func (d *doctor) requests(ctx context.Context, t *topic, s store) {
	name, prefix := d.Target.Bucket, ""
	if d.Target.IsPrefix() {
		prefix = d.Target.Key
	}
	headErr := d.bounded(ctx, func(ctx context.Context) error { return s.HeadBucket(ctx, name) })
	if headErr != nil && outcome.As(headErr).Status == 0 { // a host that stalls would stall again
		d.refused(t, headErr, nil)
		return
	}
	var page prestage.Page
	listErr := d.bounded(ctx, func(ctx context.Context) (err error) {
		page, err = s.List(ctx, name, prefix, "")
		return err
	})
	// Only the list's answer has a body that says why. A mere denial may hold for
	// these two and not for an object; all else holds for any request.
	if headErr != nil && listErr != nil && code(listErr) != accessDenied {
		d.refused(t, headErr, listErr)
		return
	}
	ref, known := d.Target, !d.Target.IsPrefix()
	if !known && len(page.Objects) > 0 {
		ref, known = page.Objects[0].Ref, true
	}
	if !known {
		ref.Key = prefix + probeKey
	}
	var answer prestage.Answer
	readErr := d.bounded(ctx, func(ctx context.Context) (err error) {
		answer, err = s.Head(ctx, ref)
		return err
	})
	if denied(headErr) && denied(listErr) && denied(readErr) {
		t.fail(bothPermissions+"; is the bucket yours?", "every request is denied (HTTP 403)")
		return
	}
	t.fine("answers")
	d.listed(listErr, prefix, page)
	d.read(ref, known, answer, readErr, denied(listErr))
}

// bounded is a request that ends in time.
func (d *doctor) bounded(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.limit)
	defer cancel()
	return request(ctx)
}

// listed judges the list, which plans of prefixes are made from.
func (d *doctor) listed(err error, prefix string, page prestage.Page) {
	t := d.topic("list")
	switch {
	case denied(err):
		t.fail("have the organisation's and the bucket's policy allow s3:ListBucket to these credentials",
			"s3:ListBucket is missing (HTTP 403): events that name a prefix cannot be planned, and a missing object looks like a refused one")
	case err != nil:
		d.refused(t, err, err)
	}
	more := ""
	if page.Next != "" {
		more = " and more"
	}
	t.fine("%d objects%s below %q", len(page.Objects), more, prefix)
}

// read judges the plain HEAD of ref; known: it was listed, or asked for by name.
func (d *doctor) read(ref object.Ref, known bool, answer prestage.Answer, err error, listDenied bool) {
	t := d.topic("object %s", ref)
	status := 0
	if err != nil {
		status = outcome.As(err).Status
	}
	switch {
	case denied(err) && listDenied: // a missing object is denied to who may not list
		t.warn("have s3:ListBucket allowed first, or name an object that exists: --uri s3://"+ref.Bucket+"/key",
			"HTTP 403: s3:GetObject is missing, or the object does not exist")
	case denied(err):
		t.fail("have the organisation's and the bucket's policy allow s3:GetObject to these credentials", "s3:GetObject is missing (HTTP 403): nothing can be warmed")
	case status == http.StatusNotFound && known:
		t.fail("is the key right?", "does not exist (HTTP 404)")
	case status == http.StatusNotFound:
		t.fine("a HEAD is permitted; this key need not exist")
	case err != nil:
		d.refused(t, err, err)
	default:
		t.fine("a plain HEAD is answered HTTP %d, %d bytes", answer.Status, answer.Size)
	}
}
