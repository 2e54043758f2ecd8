package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/prestage/prestage/internal/consumer"
	"github.com/prestage/prestage/internal/natstest"
	"github.com/prestage/prestage/internal/outcome"
)

func TestInstances(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	asker := srv.Conn(t)
	if none, err := Instances(t.Context(), asker, "c1"); err != nil || len(none) != 0 {
		t.Fatalf("of none it has %v, %v", none, err)
	}
	since := time.Now().UTC().Truncate(time.Second)
	want := []Instance{
		{
			Name: "a", InFlight: 3, Limit: 16, Ceiling: 300, Endpoint: "cwlota.com:80", Confirm: Confirm{"auto", true},
			Breakers: []Breaker{{"ckpt", outcome.Forbidden, "403", since, since.Add(time.Second)}},
			Tasks:    []consumer.Task{{Lane: "model", EventID: "e", Received: since}},
		},
		{Name: "b", NotReady: "draining", Breakers: []Breaker{}, Tasks: []consumer.Task{}},
	}
	for _, i := range []Instance{want[1], want[0], {Name: ""}} {
		if err := Answer(srv.Conn(t), "c1", func() Instance { return i }); err != nil {
			t.Fatal(err)
		}
	}
	if err := Answer(srv.Conn(t), "elsewhere", func() Instance { return Instance{Name: "c"} }); err != nil {
		t.Fatal(err)
	}
	rude := srv.Conn(t)
	if _, err := rude.Subscribe(askedAt("c1"), func(m *nats.Msg) { _ = m.Respond([]byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if err := rude.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []Instance
	for deadline := time.Now().Add(time.Minute); len(got) < len(want) && time.Now().Before(deadline); { // the server has to hear of all
		var err error
		if got, err = Instances(t.Context(), asker, "c1"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestInstanceIsBounded has more to tell than a message holds.
func TestInstanceIsBounded(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	long := strings.Repeat("ä", 100_000)
	var i Instance
	i.Name = "a"
	for n := range 2000 {
		i.Breakers = append(i.Breakers, Breaker{Bucket: fmt.Sprint("b-", n), Error: long})
		i.Tasks = append(i.Tasks, consumer.Task{EventID: long, Source: long})
	}
	nc := srv.Conn(t)
	if err := Answer(nc, "c1", func() Instance { return i }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := Instances(t.Context(), srv.Conn(t), "c1")
	if err != nil || len(got) != 1 || len(got[0].Breakers) != maxBreakers || len(got[0].Tasks) != maxTasks {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	if i.Breakers[0].Error != long {
		t.Error("the instance's own list was cut")
	}
}
