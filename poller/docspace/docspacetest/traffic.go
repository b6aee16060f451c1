package docspacetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// TrafficOptions say how busy people are. The zero value means the defaults.
type TrafficOptions struct {
	Seed     uint64
	Rate     float64       // actions per second, on average; default 1
	Rooms    int           // rooms to begin with; default 3
	NewRooms time.Duration // time between new rooms, on average; default never
	Burst    time.Duration // time between uploads of several hundred files, on average; default never
}

// Traffic lets people work until ctx ends: the rooms it begins with, then one
// action after another at random times.
func (p *Portal) Traffic(ctx context.Context, o TrafficOptions) {
	if o.Rate <= 0 {
		o.Rate = 1
	}
	if o.Rooms <= 0 {
		o.Rooms = 3
	}
	r := rand.New(rand.NewPCG(o.Seed, 0x74726166))
	p.Populate(r, o.Rooms)
	pause := time.Duration(float64(time.Second) / o.Rate)
	for sleep(ctx, time.Duration(r.ExpFloat64()*float64(pause))) {
		switch {
		case due(r, pause, o.NewRooms):
			p.newRoom(r)
		case due(r, pause, o.Burst):
			p.burst(r)
		default:
			p.Act(r)
		}
	}
}

// due reports whether something that happens every so often happens now, asked
// once every step.
func due(r *rand.Rand, step, every time.Duration) bool {
	return every > 0 && r.Float64() < float64(step)/float64(every)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Populate adds people, unless there are some, and rooms until there are that
// many, each with its members and a few folders.
func (p *Portal) Populate(r *rand.Rand, rooms int) {
	p.mu.RLock()
	alone := len(p.users) == 1
	p.mu.RUnlock()
	if alone {
		for i, name := range peopleNames {
			p.AddUser(name, fmt.Sprintf("user%d@example.com", i+1))
		}
	}
	for len(p.Rooms()) < rooms {
		p.newRoom(r)
	}
}

func (p *Portal) newRoom(r *rand.Rand) {
	by := p.person(r)
	kinds := []RoomType{CollaborationRoom, CollaborationRoom, CustomRoom, PublicRoom, FormFillingRoom, VirtualDataRoom}
	room := p.CreateTypedRoom(by, pick(r, kinds), pick(r, roomNames)+" "+strconv.Itoa(r.IntN(1000)))
	for range 2 + r.IntN(3) {
		p.InviteUser(by, room, p.person(r), pick(r, accessNames))
	}
	for range 1 + r.IntN(3) {
		p.CreateFolder(by, room, pick(r, folderNames))
	}
}

func (p *Portal) burst(r *rand.Rand) {
	if s, ok := p.scene(r); ok {
		titles := make([]string, 250+r.IntN(100))
		for i := range titles {
			titles[i] = fileTitle(r)
		}
		p.Upload(s.by, s.folder, titles...)
	}
}

// A scene is somebody somewhere, about to act.
type scene struct {
	by     *User
	room   int
	folder int // the room or one below it
	other  int // where to move or copy
	file   int // 0 when there is none
}

// A deed is something people do, and how often beside the others.
type deed struct {
	weight int
	file   bool // needs a file
	do     func(*Portal, *rand.Rand, scene)
}

var deeds = []deed{
	{300, false, func(p *Portal, r *rand.Rand, s scene) { p.Upload(s.by, s.folder, fileTitle(r)) }},
	{20, false, func(p *Portal, r *rand.Rand, s scene) {
		titles := make([]string, 2+r.IntN(6))
		for i := range titles {
			titles[i] = fileTitle(r)
		}
		p.Upload(s.by, s.folder, titles...)
	}},
	{40, false, func(p *Portal, r *rand.Rand, s scene) { p.Create(s.by, s.folder, fileTitle(r)) }},
	{30, false, func(p *Portal, r *rand.Rand, s scene) { p.CreateFolder(s.by, s.folder, pick(r, folderNames)) }},
	{260, true, func(p *Portal, _ *rand.Rand, s scene) { p.Update(s.by, s.file) }},
	{5, true, func(p *Portal, _ *rand.Rand, s scene) { p.Update(p.External("Visitor"), s.file) }},
	{40, true, func(p *Portal, _ *rand.Rand, s scene) { p.UploadOver(s.by, s.file) }},
	{60, true, func(p *Portal, r *rand.Rand, s scene) { p.Rename(s.by, s.file, fileTitle(r)) }},
	{70, true, func(p *Portal, _ *rand.Rand, s scene) { p.Move(s.by, s.file, s.other) }},
	{40, true, func(p *Portal, _ *rand.Rand, s scene) { p.Copy(s.by, s.file, s.other) }},
	{30, true, func(p *Portal, _ *rand.Rand, s scene) { p.Trash(s.by, s.file) }},
	{20, true, func(p *Portal, _ *rand.Rand, s scene) { p.Delete(s.by, s.file) }},
	{15, true, func(p *Portal, _ *rand.Rand, s scene) { p.Lock(s.by, s.file); p.Unlock(s.by, s.file) }},
	{10, true, func(p *Portal, r *rand.Rand, s scene) { p.RestoreVersion(s.by, s.file, 1+r.IntN(9)) }},
	{10, true, func(p *Portal, r *rand.Rand, s scene) { p.RemoveVersion(s.by, s.file, 1+r.IntN(9)) }},
	{10, true, func(p *Portal, r *rand.Rand, s scene) { p.ReorderFile(s.by, s.file, 1+r.IntN(20)) }},
	{10, true, func(p *Portal, r *rand.Rand, s scene) { p.Convert(s.by, s.file, fileTitle(r)) }},
	{8, true, func(p *Portal, _ *rand.Rand, s scene) { p.OpenForm(s.by, s.file); p.SubmitForm(s.by, s.file) }},
	{15, false, func(p *Portal, r *rand.Rand, s scene) { p.InviteUser(s.by, s.room, p.person(r), pick(r, accessNames)) }},
	{10, false, func(p *Portal, r *rand.Rand, s scene) {
		p.ChangeAccess(s.by, s.room, p.person(r), pick(r, accessNames))
	}},
	{5, false, func(p *Portal, r *rand.Rand, s scene) { p.RemoveMember(s.by, s.room, p.person(r)) }},
	{5, false, func(p *Portal, r *rand.Rand, s scene) {
		p.AddGroup(s.by, s.room, p.NewGroup(pick(r, groupNames)), pick(r, accessNames))
	}},
	{8, false, func(p *Portal, r *rand.Rand, s scene) { p.AddTags(s.by, s.room, pick(r, tagNames)) }},
	{8, false, func(p *Portal, r *rand.Rand, s scene) {
		p.CreateLink(s.by, s.room, "Shared link", pick(r, accessNames))
	}},
	{4, false, func(p *Portal, r *rand.Rand, s scene) { p.Rename(s.by, s.room, pick(r, roomNames)) }},
	{3, false, func(p *Portal, _ *rand.Rand, s scene) { p.SetLogo(s.by, s.room) }},
	{3, false, func(p *Portal, _ *rand.Rand, s scene) { p.ChangeColor(s.by, s.room) }},
	{2, false, func(p *Portal, r *rand.Rand, s scene) { p.SetLifeTime(s.by, s.room, LifeTime{Value: 1 + r.IntN(30)}) }},
	{2, false, func(p *Portal, r *rand.Rand, s scene) { p.ChangeOwner(s.by, s.room, p.person(r)) }},
}

var deedWeight = func() (sum int) {
	for _, d := range deeds {
		sum += d.weight
	}
	return sum
}()

// Act lets somebody do one plausible thing somewhere, with rows in one or two
// rooms. It does nothing on a portal without rooms.
func (p *Portal) Act(r *rand.Rand) {
	s, ok := p.scene(r)
	if !ok {
		return
	}
	n := r.IntN(deedWeight)
	for _, d := range deeds {
		if n -= d.weight; n >= 0 {
			continue
		}
		if d.file && s.file == 0 {
			d = deeds[0]
		}
		d.do(p, r, s)
		return
	}
}

// scene picks a room, a folder and a file in it, and a second folder: mostly
// of the same room.
func (p *Portal) scene(r *rand.Rand) (scene, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	rooms := p.roomsRoot.children
	if len(rooms) == 0 {
		return scene{}, false
	}
	room := pick(r, rooms)
	in, other := descend(r, room), descend(r, room)
	if r.IntN(4) == 0 {
		other = descend(r, pick(r, rooms))
	}
	s := scene{by: pick(r, p.users), room: room.id, folder: in.id, other: other.id}
	if s.by.removed() {
		s.by = p.owner
	}
	if len(in.files) > 0 {
		s.file = pick(r, in.files).id
	}
	return s, true
}

// descend goes down a random number of folders.
func descend(r *rand.Rand, f *folder) *folder {
	for len(f.children) > 0 && r.IntN(2) == 0 {
		f = pick(r, f.children)
	}
	return f
}

func (p *Portal) person(r *rand.Rand) *User {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if u := pick(r, p.users); !u.removed() {
		return u
	}
	return p.owner
}

func fileTitle(r *rand.Rand) string {
	return pick(r, fileStems) + " " + strconv.Itoa(r.IntN(1000)) + pick(r, fileExtensions)
}
