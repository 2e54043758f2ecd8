// Package replay works through the history of an event stream once more: it
// finds the part that is meant, has a lane of its own handle it as the live
// lanes would, and ends. It moves no durable but its own.
package replay
