package app

import (
	"github.com/prestage/prestage/internal/events"
	"github.com/prestage/prestage/internal/resolve"
)

// newResolver is what finds the artifacts of registries in S3.
func newResolver() *resolve.Resolver {
	return resolve.New(map[events.Registry]resolve.Finder{
		events.MLflow: resolve.NewMLflow(nil, func() resolve.Marks { return resolve.DefaultMarks{} }),
	})
}
