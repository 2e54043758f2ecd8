package main

import "errors"

type lotasimCmd struct{}

func (lotasimCmd) Run() error { return errors.New("lotasim: being built") }
