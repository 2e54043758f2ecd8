package prestage

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prestage/prestage/internal/object"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ items, limit int }{{0, 10}, {1, 10}, {2, 10}, {9, 10}, {100, 10}, {5000, 256}} {
		s := spread{limit: tt.limit}
		want, got := make(map[string]int), make(map[string]int)
		var order []int
		give := func(i turn, ok bool) {
			if !ok {
				return
			}
			var n int
			if _, err := fmt.Sscanf(i.Key, "%d", &n); err != nil {
				t.Fatal(err)
			}
			got[i.Key]++
			order = append(order, n)
		}
		for n := range tt.items {
			i := turn{Item: Item{Attrs: object.Attrs{Ref: ckpt(fmt.Sprint(n))}}}
			want[i.Key]++
			give(s.add(i))
			if len(s.held) > tt.limit {
				t.Fatalf("%d are held back, at most %d may be", len(s.held), tt.limit)
			}
			if begun := len(order); begun < (n+1)/2 {
				t.Fatalf("of %d items %d have begun", n+1, begun)
			}
		}
		for len(s.held) > 0 {
			give(s.next())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d items (-want +got):\n%s", tt.items, diff)
		}
		near := 0
		for n := 1; n < len(order); n++ {
			if d := order[n] - order[n-1]; d >= -2 && d <= 2 {
				near++
			}
		}
		if tt.items == 5000 && near > 500 { // of neighbours in time, some 2 % by chance
			t.Errorf("%d of %d requests are for a key next to the one before", near, tt.items)
		}
	}
}

func TestSpreadIsShared(t *testing.T) {
	t.Parallel()
	w := &Warmer{}
	for active, want := range map[int64]int{0: maxSpread, 1: maxSpread, 4: maxSpread, 8: maxSpread / 2, 128: minSpread} {
		w.active[Routine].Store(active)
		if got := w.window(); got != want {
			t.Errorf("%d events: each holds back %d, want %d", active, got, want)
		}
	}
}
