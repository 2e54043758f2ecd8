// Package doctor looks at a set-up as the daemon would find it and says what is
// wrong, each time with the remedy. It changes nothing: it provisions nothing,
// and every HEAD that it sends is a plain one.
package doctor
