package docspacetest

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// fillStep is the usual time between two rows of Fill, in seconds.
const fillStep = 20

// A filler writes a past into one folder.
type filler struct {
	p     *Portal
	r     *rand.Rand
	dirs  []*folder
	who   []*User
	now   int64
	limit int64
	left  int
	last  Action
}

// Fill gives a folder n more rows of a plausible past that ends now: uploads,
// edits, renamings, moves between folders, bursts of several hundred within a
// minute, identical rows within one second, dates a few seconds out of order.
// It costs about a microsecond and 200 bytes a row.
func (p *Portal) Fill(into, n int, seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	top := p.folders[into]
	if top == nil || top.parent == nil || n <= 0 {
		return
	}
	limit := p.now().Unix()
	f := &filler{
		p: p, r: rand.New(rand.NewPCG(seed, 0x66696c6c)), dirs: []*folder{top}, who: p.users,
		now: limit - int64(n)*fillStep, limit: limit, left: n,
	}
	for range 3 {
		if n >= 100 {
			f.subfolder(top)
		}
	}
	for f.left > 0 {
		f.step()
	}
}

func (f *filler) subfolder(in *folder) {
	title := pick(f.r, folderNames)
	sub := f.p.addFolder(in, f.p.owner, title, typeFolder)
	sub.created = time.Unix(f.now, 0).UTC()
	f.dirs = append(f.dirs, sub)
	f.record(Action{Code: 5019, Folder: in.id, Entry: sub.id, Title: title})
}

// step writes one row, or a burst.
func (f *filler) step() {
	f.now = min(f.now+f.r.Int64N(2*fillStep), f.limit)
	dir := pick(f.r, f.dirs)
	switch n := f.r.IntN(1000); {
	case n < 1 && f.left >= 250:
		f.burst(dir)
	case n < 12 && f.last.Code != 0:
		f.record(f.last)
	case n < 500 || len(dir.files) == 0:
		f.upload(dir, pick(f.r, f.who), fileTitle(f.r))
	default:
		f.change(dir.files[f.r.IntN(len(dir.files))], n)
	}
}

// burst uploads several hundred files within a minute.
func (f *filler) burst(dir *folder) {
	f.now = min(f.now/60*60+60, f.limit)
	by := pick(f.r, f.who)
	stem := pick(f.r, fileStems)
	for i := range min(250+f.r.IntN(150), f.left) {
		f.upload(dir, by, stem+" "+strconv.Itoa(i+1)+".png")
	}
}

func (f *filler) upload(dir *folder, by *User, title string) {
	x := f.p.addFile(dir, by, title, f.now)
	f.record(Action{Code: 5011, By: by, Folder: dir.id, Entry: x.id, Title: title})
}

func (f *filler) change(x *document, n int) {
	by := pick(f.r, f.who)
	a := Action{Code: 5034, By: by, Folder: x.parent.id, Entry: x.id, Title: x.title}
	switch {
	case n < 800:
		a.Note = by.Name()
	case n < 870:
		a.Code, a.Note = 5001, x.title
		x.title = fileTitle(f.r)
		a.Title = x.title
	case n < 940:
		to := pick(f.r, f.dirs)
		a.Code, a.Folder, a.To, a.From = 5015, to.id, to.id, x.parent.id
		x.leave()
		to.adopt(x)
	case n < 960:
		a.Code = 5006
	case n < 980:
		a.Code = 5099
	default:
		a.Code = 5017
		x.leave()
		delete(f.p.files, x.id)
	}
	f.record(a)
}

// record dates the action, now and then a few seconds back as when two servers
// of a portal disagree.
func (f *filler) record(a Action) {
	at := f.now
	if f.r.IntN(50) == 0 {
		at -= f.r.Int64N(5)
	}
	if a.At.IsZero() {
		a.At = time.Unix(at, 0)
	}
	f.p.record(a)
	f.last = a
	f.left--
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
