package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/prestage/prestage/internal/app"
)

// subjects compares the lanes' subjects with those of the stream, both ways.
// JetStream accepts a filter that no subject of the stream can match.
func (d *doctor) subjects(stream jetstream.StreamConfig) {
	t := d.topic("subjects")
	if len(stream.Subjects) == 0 { // a mirror or an aggregate
		t.fine("the stream %s copies another and has no subjects of its own: not compared", stream.Name)
		return
	}
	theirs := strings.Join(stream.Subjects, " ")
	lanes := d.Config.Setup().Consumers
	var all []string
	for i, variable := range []string{"PRESTAGE_MODEL_SUBJECTS", "PRESTAGE_CHECKPOINT_SUBJECTS"} {
		lane := lanes[i].FilterSubjects
		all = append(all, lane...)
		holes := slices.DeleteFunc(slices.Clone(lane), func(s string) bool { return app.Covered(s, stream.Subjects) })
		switch {
		case !slices.ContainsFunc(lane, func(s string) bool { return meetsAny(s, stream.Subjects) }):
			t.fail(fmt.Sprintf("set %s to subjects of the stream, or add the lane's to the stream: %s", variable, addSubjects(stream, lane)),
				"no subject of %s is one of the stream %s (%s): this lane would never see an event", variable, stream.Name, theirs)
		case len(holes) > 0:
			t.warn(addSubjects(stream, holes), "the stream %s does not take all of %s, which is in %s: such events are refused to their producer",
				stream.Name, strings.Join(holes, " "), variable)
		}
	}
	for _, s := range stream.Subjects {
		switch {
		case !meetsAny(s, all):
			t.warn(fmt.Sprintf("add %s to PRESTAGE_MODEL_SUBJECTS or PRESTAGE_CHECKPOINT_SUBJECTS if it carries events for prestage", s),
				"events on %s are stored in %s and belong to no lane: they are never consumed", s, stream.Name)
		case !app.Covered(s, all):
			t.warn("give the stream exactly the lanes' subjects, so that a mistyped one is refused: "+strings.Join(all, " "),
				"%s of the stream %s is wider than the lanes: an event on a mistyped subject is stored and never consumed", s, stream.Name)
		}
	}
	t.fine("the lanes take exactly what the stream %s takes", stream.Name)
}

func meetsAny(subject string, others []string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return app.Meet(subject, o) })
}

// addSubjects is the command that adds subjects to a stream. Those that they
// make needless are left out, since subjects of a stream must not overlap.
func addSubjects(stream jetstream.StreamConfig, more []string) string {
	kept := slices.DeleteFunc(slices.Clone(stream.Subjects), func(s string) bool { return app.Covered(s, more) })
	return fmt.Sprintf("nats stream edit %s --subjects '%s'", stream.Name, strings.Join(append(kept, more...), ","))
}
