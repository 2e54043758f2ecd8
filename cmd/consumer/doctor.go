package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prestage/prestage/internal/doctor"
	"github.com/prestage/prestage/internal/object"
)

// doctorCmd looks at the set-up.
type doctorCmd struct {
	Bucket string `help:"Bucket to try as well: its name, a list, a plain HEAD." xor:"target"`
	URI    string `name:"uri" help:"Object, or prefix with the slash, to try as well." xor:"target"`
	Output string `enum:"text,json" default:"text" help:"text, a line a finding, or json, a list of them."`
}

// Run tells the findings. It fails when something would not work.
func (c doctorCmd) Run(ctx context.Context, w world) error {
	target, err := c.target()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	cfg, err := w.config()
	if err != nil {
		return err
	}
	aws, err := loadAWS(ctx, w.quietLogger())
	if err != nil {
		return err
	}
	findings := []doctor.Finding{}
	failed := 0
	doctor.Examine(ctx, doctor.Options{Config: cfg, AWS: aws, Target: target}, func(f doctor.Finding) {
		findings = append(findings, f)
		if f.Status == doctor.Fail {
			failed++
		}
		if c.Output == "text" {
			fmt.Fprintln(w.stdout, f)
		}
	})
	if ctx.Err() != nil {
		return errors.New("doctor: interrupted")
	}
	if c.Output == "json" {
		if err := printJSON(w.stdout, findings); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("doctor: %d of %d findings would keep prestage from working", failed, len(findings))
	}
	return nil
}

// target is what the flags name.
func (c doctorCmd) target() (object.Ref, error) {
	switch {
	case c.Bucket != "":
		return object.Ref{Bucket: c.Bucket}, object.CheckBucket(c.Bucket)
	case c.URI != "":
		return object.ParseURI(c.URI)
	default:
		return object.Ref{}, nil
	}
}
