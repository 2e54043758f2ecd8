// Package dlq works with dead letters: the messages of the stream PRESTAGE_DLQ,
// one for each event that was given up, with everything needed to redrive it.
//
// A letter's subject is prestage.dlq.<cluster>.<stream>.<seq>[.<replay>], where
// stream and seq are those of the event. It is one letter however often it is
// stored: subject and Prestage-Time say which, the sequence in PRESTAGE_DLQ does
// not.
//
// Redriving publishes the event anew and then marks the letter, by storing it
// once more with the mark and removing the old copy. Everything between may be
// cut off: the message id that the event is published under says whether it is
// in the stream already, and a copy that was left behind is recognised. The
// event names its letter in a header; when it ends well, the consumer closes,
// that is removes, the letter and those before it.
package dlq
