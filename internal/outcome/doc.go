// Package outcome is the vocabulary in which every part of prestage says what
// became of an object or an event: reasons that users see, classes that decide
// what to do next, verdicts that say how a fill is known. Nobody matches on
// error text; what needs a decision is here.
package outcome
