// Package events turns the bytes of one stream message into what the producer
// meant: these objects, this prefix or this manifest are to be warm, or nothing
// is to be done. It is pure: no I/O, no clock, no client; the same message
// gives the same answer for ever, which is what makes a replay trustworthy.
//
// Everything that arrives is taken for hostile. A payload is bounded in bytes,
// depth and number of values before anything looks at it, a field is bounded
// where it is read, and a refusal says what is wrong, where, and what to send
// instead, without repeating what might be a secret.
//
// # What is read
//
// Native events, plain or as CloudEvents; S3 notifications as AWS, MinIO and
// Ceph write them, alone, by way of Amazon EventBridge or as the data of a
// CloudEvent; and all of these in the envelope of Amazon SNS. Of registries, the
// webhooks of MLflow, Weights & Biases, Hugging Face, Harbor and distribution:
// those that name no S3 URI are refused with what to send instead.
//
// A message that came by the gateway says by which route, and is read as what
// that route is for; see Route.
//
// # Adding a producer
//
// A producer is one file, one corpus, one fuzz target and one row:
//
//   - name.go holds the Format, a function that recognises the message's shape,
//     and one that fills in the Event. Fields are read through node, which keeps
//     the first thing found wrong together with its path.
//   - testdata/name.txtar holds real messages, each with the Event or the error
//     that is wanted. "go test -update" writes the wanted side; read the diff.
//   - fuzz_test.go gets a target seeded from that corpus.
//   - decode.go gets a row in dialects. Rows are tried from the top, so a shape
//     that another one contains goes above it. If the gateway is to take it, it
//     belongs to a Route.
package events
