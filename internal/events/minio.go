package events

import "errors"

// FormatMinIO is an S3 notification in MinIO's envelope, which repeats the
// event's name and, in Key, "<bucket>/<key>" with the key as it is.
const FormatMinIO Format = "minio"

func isMinIO(in *input) bool { return isS3(in) && in.root("").get("Key").present() }

// decodeMinIO lets the envelope's Key say how the record's own key is written:
// escaped in what MinIO publishes, plain in what is relayed from its HTTP
// listen API. Un-escaping the latter would turn a "+" into a space.
func decodeMinIO(in *input, ev *Event) error {
	root := in.root("")
	outer := root.get("Key").text()
	if root.doc.err != nil {
		return root.doc.err
	}
	return readRecords(root.get("Records"), func(_, bucket, written string) (string, error) {
		if bucket+"/"+written == outer {
			return written, nil
		}
		key, err := unescapeKey(written)
		if err != nil {
			return "", err
		}
		if bucket+"/"+key != outer {
			return "", errors.New("differs from the envelope's Key, escaped or not")
		}
		return key, nil
	}, ev)
}
