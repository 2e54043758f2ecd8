package main

import (
	"fmt"

	"github.com/prestage/prestage/internal/object"
	"github.com/prestage/prestage/internal/outcome"
	"github.com/prestage/prestage/internal/prestage"
	"github.com/prestage/prestage/internal/rules"
)

// explainer says which rule decides, and why. A nil one says nothing.
type explainer struct {
	rules   *rules.Set
	cluster string
}

// target explains what a request names as a whole.
func (e *explainer) target(r prestage.Request) []string {
	ref := r.Prefix
	if r.Manifest.Bucket != "" {
		ref = r.Manifest
	}
	if e == nil || ref == (object.Ref{}) { // its objects are explained one by one
		return nil
	}
	return e.rules.Explain(r.Subject, ref.Bucket, ref.Key)
}

// item names the rule of an object, and why that excludes it, if it does.
func (e *explainer) item(subject string, i prestage.Item) (rule, why string) {
	if e == nil {
		return "", ""
	}
	r := e.rules.For(subject, i.Bucket, i.Key)
	if i.Skip == outcome.Excluded {
		if why = r.Excludes(e.cluster, i.Key, i.Size); why == "" {
			why = "a temporary name, or no part of what is kept"
		}
	}
	return r.Name, why
}

// itemText is item at the end of a line.
func (e *explainer) itemText(subject string, i prestage.Item) string {
	rule, why := e.item(subject, i)
	switch {
	case e == nil:
		return ""
	case rule == "":
		return "; no rule"
	case why != "":
		why = ", " + why
	}
	return fmt.Sprintf("; rule %q%s", rule, why)
}
