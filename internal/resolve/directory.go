package resolve

import (
	"strings"

	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
)

// hintElsewhere is for files that are not where an S3 client finds them. With its
// defaults a server keeps the place to itself ("mlflow-artifacts:").
const hintElsewhere = `set MLFLOW_ARTIFACTS_DESTINATION to the s3:// URI that the tracking server has for it; or publish a native event with the URI of the version's files: {"uri":"s3://bucket/prefix/"}`

// directory makes uri, which MLflow says to hold the files of a, the prefix that
// is meant, whether it ends in "/" or not.
func directory(a events.Artifact, uri string) (object.Ref, error) {
	refused := func(reason outcome.Reason, format string, args ...any) (object.Ref, error) {
		e := lost(a, hintElsewhere, format, args...)
		e.Reason = reason
		return object.Ref{}, e
	}
	switch {
	case uri == "":
		return refused(outcome.UnresolvableSource, "the tracking server does not tell where its files are")
	case !inS3(uri):
		scheme, _, _ := strings.Cut(uri, ":")
		return refused(outcome.UnresolvableSource, "its files are at a URI of the scheme %s, which is not in S3", quote(scheme))
	}
	ref, err := object.ParseURI(uri)
	switch {
	case err != nil:
		return refused(outcome.UnresolvableSource, "%w", err)
	case ref.Key == "":
		return refused(outcome.Unsupported, "its files are all of the bucket %q, want a prefix", ref.Bucket)
	}
	if !ref.IsPrefix() {
		ref.Key += "/"
		if err := object.CheckKey(ref.Key); err != nil { // too long now
			return refused(outcome.UnresolvableSource, "%w", err)
		}
	}
	return ref, nil
}

// inS3 says that uri has a scheme of S3's.
func inS3(uri string) bool {
	scheme, _, found := strings.Cut(strings.ToLower(uri), ":")
	return found && (scheme == "s3" || scheme == "cw")
}
