package consumer

import (
	"strconv"
	"testing"

	"github.com/prestage/prestage/internal/prestage"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	var m memory
	p := prestage.NewProgress()
	m.keep("a", p)
	if got := m.take("a"); got != p {
		t.Error("the progress of a is another")
	}
	if got := m.take("a"); got == p || got == nil {
		t.Error("taken twice")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m memory
	latest := prestage.NewProgress()
	for i := range 5 * maxRemembered {
		m.keep(strconv.Itoa(i), latest)
		m.keep("again", latest) // an event that is tried over and over
		m.take("again")
	}
	if len(m.byKey) > maxRemembered || len(m.order) > maxRemembered {
		t.Errorf("%d events in the map, %d in the list", len(m.byKey), len(m.order))
	}
	if m.take(strconv.Itoa(5*maxRemembered-1)) != latest {
		t.Error("the latest is forgotten")
	}
	if m.take("0") == latest {
		t.Error("the first is not forgotten")
	}
}

// An event that is tried again very often is not forgotten for that.
func TestMemoryOfOneEvent(t *testing.T) {
	t.Parallel()
	var m memory
	p := prestage.NewProgress()
	for i := range 3 * maxRemembered {
		m.keep("event", p)
		if m.take("event") != p {
			t.Fatalf("lost at attempt %d", i+1)
		}
	}
}
