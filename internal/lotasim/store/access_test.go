package store_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/lotasim/store"
)

// system is a Store behind an emulator, for one test at a time.
func system(t *testing.T, o store.Options) (*store.Store, *lotasim.Sim, *lotasim.Server) {
	t.Helper()
	st, err := store.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	sim, err := lotasim.New(lotasim.Fast(), st.Backends())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	server, err := lotasim.Listen(t.Context(), sim, lotasim.Addrs{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return st, sim, server
}

// Not parallel, as the other tests of a Store. Who may do what, on both
// listeners: the owner everything, the second key list, nobody anything in
// another customer's bucket.
func TestPermissions(t *testing.T) {
	o := options(t.TempDir())
	o.ListOnlyKey = "AKIALISTS"
	st, sim, server := system(t, o)
	for range 2 { // a second time, as after a restart
		if err := st.CreateBucket(t.Context(), "ckpt"); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.CreateForeignBucket(t.Context(), "theirs"); err != nil {
		t.Fatal(err)
	}
	if err := st.CreateBucket(t.Context(), "theirs"); err == nil {
		t.Error("another customer's bucket was made ours")
	}
	for _, side := range []struct{ domain, addr string }{{"cwlota.com", server.LOTAAddr()}, {"cwobject.com", server.PrimaryAddr()}} {
		owner := client(t, side.domain, side.addr, o.SecretKey)
		lister := clientAs(t, side.domain, side.addr, "AKIALISTS", o.SecretKey)
		if err := put(t, owner, "ckpt", "k", 5<<20); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, c := range map[string]*s3.Client{"owner": owner, "lister": lister} {
			for _, bucket := range []string{"ckpt", "theirs"} {
				got[name+" "+bucket] = mayDo(t, c, bucket)
			}
		}
		want := map[string]string{
			"owner ckpt":    "HeadBucket ListObjects HeadObject ranged-HeadObject GetObject PutObject",
			"lister ckpt":   "HeadBucket ListObjects",
			"owner theirs":  "",
			"lister theirs": "",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", side.domain, diff)
		}
	}
	if truth := sim.Truth("theirs", "k"); truth.Fills != 0 || truth.RangedHeads != 0 {
		t.Errorf("a refused request filled: %+v", truth)
	}
}

// mayDo lists what a client may do in a bucket with the key k; what it may not
// has to be 403.
func mayDo(t *testing.T, c *s3.Client, bucket string) string {
	t.Helper()
	b, k := &bucket, aws.String("k")
	out := ""
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"HeadBucket", func() error { _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: b}); return err }},
		{"ListObjects", func() error { _, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}); return err }},
		{"HeadObject", func() error { _, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: k}); return err }},
		{"ranged-HeadObject", func() error {
			_, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: k, Range: aws.String("bytes=0-0")})
			return err
		}},
		{"GetObject", func() error {
			got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k})
			if err == nil {
				err = got.Body.Close()
			}
			return err
		}},
		{"PutObject", func() error { return put(t, c, bucket, "new", 1) }},
	} {
		err := call.do()
		switch {
		case err == nil && out == "":
			out = call.name
		case err == nil:
			out += " " + call.name
		case code(err) != "AccessDenied" && code(err) != "Forbidden":
			t.Errorf("%s in %s: %v, want 403", call.name, bucket, err)
		}
	}
	return out
}

func put(t *testing.T, c *s3.Client, bucket, key string, size int) error {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(make([]byte, size))})
	return err
}

// Not parallel, as above. Each version is filled on its own, and a delete marker
// is answered as AWS answers it.
func TestVersions(t *testing.T) {
	o := options(t.TempDir())
	o.Versions = true
	st, sim, server := system(t, o)
	if err := st.CreateBucket(t.Context(), "ckpt"); err != nil {
		t.Fatal(err)
	}
	if err := st.KeepVersions(t.Context(), "ckpt"); err != nil {
		t.Fatal(err)
	}
	c := client(t, "cwlota.com", server.LOTAAddr(), o.SecretKey)
	var ids []string
	for i := range 2 {
		out, err := c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("ckpt"), Key: aws.String("run/last.pt"), Body: bytes.NewReader(make([]byte, 5_000_000+i)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, aws.ToString(out.VersionId))
	}
	head := func(id string) (string, error) {
		in := &s3.HeadObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("run/last.pt"), Range: aws.String("bytes=0-0")}
		if id != "" {
			in.VersionId = &id
		}
		out, err := c.HeadObject(t.Context(), in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.VersionId) + " " + aws.ToString(out.ContentRange), nil
	}
	for i, id := range ids {
		if got, err := head(id); err != nil || got != fmt.Sprintf("%s bytes 0-0/%d", id, 5_000_000+i) {
			t.Errorf("version %d: %q, %v", i, got, err)
		}
		for j, other := range ids {
			if got := sim.TruthOf("ckpt", "run/last.pt", other).Cached; got != (j <= i) {
				t.Errorf("version %d cached: %v, after version %d was asked for", j, got, i)
			}
		}
	}
	if got, err := head(""); err != nil || got != ids[1]+" bytes 0-0/5000001" {
		t.Errorf("the latest: %q, %v", got, err)
	}
	deleted, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("ckpt"), Key: aws.String("run/last.pt")})
	if err != nil || !aws.ToBool(deleted.DeleteMarker) {
		t.Fatalf("%+v, %v", deleted, err)
	}
	if _, err := head(""); code(err) != "NotFound" {
		t.Errorf("the latest, a delete marker: %v, want 404", err)
	}
	if _, err := head(aws.ToString(deleted.VersionId)); code(err) != "MethodNotAllowed" {
		t.Errorf("the delete marker by its id: %v, want 405", err)
	}
	if got, err := head(ids[0]); err != nil || got == "" {
		t.Errorf("an old version after the deletion: %q, %v", got, err)
	}
}
