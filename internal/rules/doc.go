// Package rules reads the rules file, PRESTAGE_RULES: what is to be done
// otherwise than by default with the objects of some subjects, buckets or
// prefixes, where in S3 the sources are that name no object, and which of
// MLflow's events matter. Without a file there is nothing to be told: the zero
// Rule and a nil *Set are the defaults.
//
// A file is a table of shapes (schema.go): it is held against them before it is
// decoded, so that whatever is wrong is told in one line with the place and what
// is allowed. The published JSON Schema is written from the same table.
//
// The first rule that matches an object decides, alone: rules do not add up.
package rules
