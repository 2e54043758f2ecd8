package events

import (
	"fmt"
	"slices"
)

// HeaderRoute is the message header in which the gateway says by which of its
// routes an event came. It begins with neither "Nats-" nor "Prestage-", so that
// a dead letter and its redrive keep it.
const HeaderRoute = "X-Prestage-Route"

// Route is a way into the gateway. Whoever has one route's secret may send that
// route's dialects and no other, so a message that has a route is not sniffed
// beyond them.
type Route string

// The routes.
const (
	RouteEvents       Route = "events"
	RouteS3           Route = "s3"
	RouteMLflow       Route = "mlflow"
	RouteWandB        Route = "wandb"
	RouteHuggingFace  Route = "huggingface"
	RouteHarbor       Route = "harbor"
	RouteDistribution Route = "distribution"
)

// formats are the dialects of a route. The first is how a message is read that
// has the shape of none, so that its sender learns what is missing.
func (r Route) formats() []Format {
	switch r {
	case RouteEvents:
		return []Format{FormatNative, FormatCloudEvents}
	case RouteS3:
		return []Format{FormatS3, FormatMinIO, FormatCeph, FormatEventBridge, FormatSNS, FormatCloudEvents}
	case RouteMLflow:
		return []Format{FormatMLflow}
	case RouteWandB:
		return []Format{FormatWandB}
	case RouteHuggingFace:
		return []Format{FormatHuggingFace}
	case RouteHarbor:
		return []Format{FormatHarbor}
	case RouteDistribution:
		return []Format{FormatDistribution}
	}
	return nil
}

// detect finds the dialect of a message: by its shape, among those that its
// route allows.
func detect(in *input) dialect {
	name, routed, err := header(in.Header).get(HeaderRoute)
	formats := Route(name).formats()
	if err == nil && routed && formats == nil {
		err = fmt.Errorf("%s is no route", quote(name))
	}
	if err != nil {
		return refusing(fmt.Errorf("header %s: %w", HeaderRoute, err))
	}
	otherwise := unknown
	for _, d := range dialects() {
		if routed && !slices.Contains(formats, d.format) {
			continue
		}
		if d.match(in) {
			return d
		}
		if routed && d.format == formats[0] && otherwise.format == "" {
			otherwise = d
		}
	}
	if in.bodyErr != nil { // nothing in it can be missed
		otherwise.decode = decodeUnknown
	}
	return otherwise
}

func refusing(err error) dialect {
	return dialect{decode: func(*input, *Event) error { return err }, advice: adviceNative}
}
