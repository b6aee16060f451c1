package docspacetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFillIsAPlausiblePast(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	p.Populate(rand.New(rand.NewPCG(1, 1)), 1)
	room := p.Rooms()[0]
	before := p.Count(room)
	p.Fill(room, 20000, 7)
	rows := p.Rows(room)[before:]
	if len(rows) != 20000 {
		t.Fatalf("%d rows, want 20000", len(rows))
	}
	codes := make(map[int]int)
	minutes := make(map[int64]int)
	back, twins := 0, 0
	for i, r := range rows {
		codes[r.StoredCode]++
		minutes[r.Date.Unix()/60]++
		if r.Date.After(noon) {
			t.Fatalf("row %d lies in the future: %v", r.ID, r.Date)
		}
		if i == 0 {
			continue
		}
		was := rows[i-1]
		if r.ID <= was.ID {
			t.Fatalf("id %d after %d", r.ID, was.ID)
		}
		if r.Date.Before(was.Date) {
			back++
		}
		if r.ID = was.ID; r == was {
			twins++
		}
	}
	most := 0
	for _, n := range minutes {
		most = max(most, n)
	}
	if most < 250 || back == 0 || twins == 0 || rows[0].Date.After(noon.Add(-24*time.Hour)) {
		t.Errorf("busiest minute %d rows, %d dates out of order, %d twins, oldest %v", most, back, twins, rows[0].Date)
	}
	for _, code := range []int{5011, 5034, 5001, 5015, 5006, 5099, 5017, 5019} {
		if codes[code] == 0 {
			t.Errorf("nobody did %d", code)
		}
	}
	again := New(Options{Now: at(noon)})
	again.Populate(rand.New(rand.NewPCG(1, 1)), 1)
	again.Fill(room, 20000, 7)
	if diff := cmp.Diff(p.Rows(room), again.Rows(room)); diff != "" {
		t.Error("the same seed makes another past")
	}
}

func TestTrafficGoesOnUntilItIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		p.Traffic(ctx, TrafficOptions{Rate: 2, Rooms: 3, NewRooms: time.Minute, Burst: 5 * time.Minute})
		if got := len(p.Rooms()); got < 5 {
			t.Errorf("%d rooms after ten minutes, want more than the first three", got)
		}
		rows := 0
		for _, room := range p.Rooms() {
			rows += p.Count(room)
		}
		if rows < 1000 {
			t.Errorf("%d rows in ten minutes at two actions a second", rows)
		}
		if time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) > 11*time.Minute {
			t.Error("traffic outlived its context")
		}
	})
}

func TestPeopleReadersAndHooksDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	p := New(Options{})
	p.Populate(rand.New(rand.NewPCG(1, 1)), 2)
	rooms := p.Rooms()
	p.Between(func(folder int) { p.SetLogo(nil, folder) })
	p.AfterPage(func(folder, _ int) { p.Count(folder) })
	done := make(chan struct{})
	for i := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 50 {
				p.Act(r)
				if answer, err := p.RoundTrip(ask(p, rooms[i%2])); err == nil {
					answer.Body.Close()
				}
				p.Rows(rooms[0])
			}
		}()
	}
	for range 4 {
		<-done
	}
	p.Between(nil)
	got := read(t, p, rooms[0], fmt.Sprint("count=100&startIndex=", p.Count(rooms[0])-100))
	want := truth(p, rooms[0])[:100]
	found := ids(got.flat())
	slices.Sort(found)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("oldest hundred (-want +got):\n%s", diff)
	}
}

func ask(p *Portal, folder int) *http.Request {
	r, err := http.NewRequest(http.MethodGet, p.URL()+"/api/2.0/"+logPath(folder)+"?count=100", nil)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.APIKey())
	return r
}

func BenchmarkPage(b *testing.B) {
	for _, rows := range []int{1000, 1000000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			p := New(Options{TimeZone: time.FixedZone("Moscow", 3*3600)})
			p.Populate(rand.New(rand.NewPCG(1, 1)), 1)
			room := p.Rooms()[0]
			p.Fill(room, rows, 1)
			r := ask(p, room)
			b.ReportAllocs()
			var size int64
			for b.Loop() {
				answer, err := p.RoundTrip(r)
				if err != nil || answer.StatusCode != http.StatusOK {
					b.Fatal(answer, err)
				}
				size = answer.ContentLength
				answer.Body.Close()
			}
			b.ReportMetric(float64(size)/100, "bytes/row")
		})
	}
}

func BenchmarkFill(b *testing.B) {
	const rows = 1000000
	for b.Loop() {
		p := New(Options{})
		p.Populate(rand.New(rand.NewPCG(1, 1)), 1)
		before := heap()
		p.Fill(p.Rooms()[0], rows, 1)
		b.ReportMetric(float64(heap()-before)/rows, "bytes/row")
		runtime.KeepAlive(p)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
