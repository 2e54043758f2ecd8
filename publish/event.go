package publish

import "github.com/prestage/prestage/internal/publish"

// Checkpoint is a training checkpoint that is in the object store. One of URI,
// Manifest and Objects says where; all else is optional.
type Checkpoint struct {
	// URI is s3://bucket/key for one object, or s3://bucket/prefix/ with the
	// slash for everything below a prefix. cw:// means s3://.
	URI string
	// Manifest is the URI of an object that lists what is meant: a JSON list of
	// URIs or objects, or a safetensors index. At most 16 MiB.
	Manifest string
	// Objects names them one by one, 50,000 at most.
	Objects []Object

	// Run names the training run. A checkpoint that waits while a newer one of
	// the same run is published is skipped.
	Run string
	// Step is the training step, nil: unknown.
	Step *int64
	// Format is the layout, such as "dcp".
	Format string

	// Complete says that nothing more will come below the prefix. Without it the
	// prefix is listed again after its fill.
	Complete bool
	// TotalObjects and TotalBytes are the least that there must be, 0: unknown.
	// TotalObjects counts all keys but zero-byte ones that end in a slash.
	TotalObjects, TotalBytes int64

	// ID is the event's, unique below Source. Empty: a digest of all other
	// fields, so that the same input has the same.
	ID string
	// Source is a URI reference. Empty: /checkpoint/ and the run.
	Source string
}

// Model is a model that is in the object store and can be served. Its fields are
// as those of Checkpoint, but for its name.
type Model struct {
	URI      string
	Manifest string
	Objects  []Object

	// Name and Version are the registry's.
	Name, Version string
	Format        string

	Complete                 bool
	TotalObjects, TotalBytes int64

	ID string
	// Source is a URI reference. Empty: /model/ and the name.
	Source string
}

// Object is one version of an object.
type Object struct {
	URI       string // s3://bucket/key
	Size      int64  // bytes, 0: unknown
	ETag      string // "": whatever is there
	VersionID string // "": the bucket keeps none, or the current one
}

func (c Checkpoint) event() publish.Event {
	return publish.Event{
		Type: publish.CheckpointWritten, ID: c.ID, Source: or(c.Source, publish.Source("checkpoint", c.Run)),
		Data: publish.Data{
			URI: c.URI, Manifest: c.Manifest, Objects: objects(c.Objects), Run: c.Run, Step: c.Step, Format: c.Format,
			Complete: c.Complete, TotalObjects: c.TotalObjects, TotalBytes: c.TotalBytes,
		},
	}
}

func (m Model) event() publish.Event {
	return publish.Event{
		Type: publish.ModelPublished, ID: m.ID, Source: or(m.Source, publish.Source("model", m.Name)),
		Data: publish.Data{
			URI: m.URI, Manifest: m.Manifest, Objects: objects(m.Objects), Model: m.Name, Version: m.Version, Format: m.Format,
			Complete: m.Complete, TotalObjects: m.TotalObjects, TotalBytes: m.TotalBytes,
		},
	}
}

func objects(list []Object) []publish.Object {
	var out []publish.Object
	for _, o := range list {
		out = append(out, publish.Object{URI: o.URI, Size: o.Size, ETag: o.ETag, VersionID: o.VersionID})
	}
	return out
}
