//go:build !linux

package main

// stepBack does nothing here.
func stepBack() {}
