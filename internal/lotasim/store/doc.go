// Package store is a real S3 server with files on disk as the backend of
// lotasim: what people and real clients upload to, multipart included. It is
// versitygw's S3 API over its posix backend, and the only package that imports
// it.
//
// What follows from that server and not from LOTA:
//
//   - Keys are paths: "a" and "a/b" cannot both exist (409), "odd//x" is stored as
//     "odd/x". Tests that need such keys use lotasim.Catalogue.
//   - The posix backend works in the process's working directory: New changes it
//     until Close, and a process can have one Store at a time. Relative paths of
//     the caller must be made absolute before.
//   - Objects have one class: STANDARD_IA is kept as STANDARD.
package store
