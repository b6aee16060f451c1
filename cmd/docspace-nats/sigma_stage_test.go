package main

import (
	"cmp"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/deploy/siem/sigma/sigmatest"
	"docspace-nats/poller/docspace/docspacetest"
)

// A stage is a portal where people act at times of the script's choosing,
// watched by the real connector: two rooms, "Sales" with files and a folder
// "Drafts" with files, and "Legal", which is empty.
type stage struct {
	t        *testing.T
	portal   *docspacetest.Portal
	cfg      config.Config
	now      atomic.Int64 // of the portal, in seconds
	people   map[person]*docspacetest.User
	rooms    map[string]int
	stock    map[string][]int // what nobody has touched yet, by "file", "folder", "draft"
	qa       docspacetest.Group
	troubled bool // the connector need not get to the end of every folder
	js       jetstream.JetStream
	stream   jetstream.Stream
}

// An act is what happens next on a stage.
type act func(*stage)

// A scenario is what people do, for a rule to find or to leave alone.
type scenario struct {
	name      string
	history   []act         // before anybody watched
	ago       time.Duration // when the history began; default ten minutes
	acts      []act         // while the connector runs
	elsewhere []act         // the same in another portal, by people of the same ids
	watched   []string      // names of rooms and folders; none: all rooms
	troubled  bool          // the connector does not get to the end of every folder
	minimal   bool          // nothing that people typed is published, and ids as pseudonyms
}

// play lets a scenario happen and returns the events in the streams, as any
// consumer reads them.
func (c scenario) play(t *testing.T, server, stream string) []sigmatest.Event {
	t.Helper()
	events := c.playIn(newStage(t, server, stream), c.history, c.acts)
	if c.elsewhere != nil {
		other := newStage(t, server, stream+"B")
		other.portal.Fill(other.rooms["Legal"], 200, 1) // so that its rows have other ids
		events = append(events, c.playIn(other, nil, c.elsewhere)...)
	}
	return events
}

func (c scenario) playIn(s *stage, history, acts []act) []sigmatest.Event {
	s.t.Helper()
	for _, name := range c.watched {
		s.cfg.DocSpace.Folders = append(s.cfg.DocSpace.Folders, s.rooms[name])
	}
	if c.minimal {
		s.cfg.DocSpace.Privacy, s.cfg.DocSpace.PrivacyKeyID = "minimal", "2026-1"
		s.cfg.DocSpace.PrivacyKey = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
	}
	s.now.Store(time.Now().Add(-cmp.Or(c.ago, 10*time.Minute)).Unix())
	s.perform(history)
	s.watch()
	s.now.Store(time.Now().Add(2 * time.Second).Unix())
	s.troubled = c.troubled
	s.perform(acts)
	s.watch()
	return s.events()
}

func newStage(t *testing.T, server, stream string) *stage {
	t.Helper()
	s := &stage{
		t: t, people: make(map[person]*docspacetest.User), rooms: make(map[string]int), stock: make(map[string][]int),
	}
	s.now.Store(time.Now().AddDate(0, 0, -10).Unix())
	s.portal = docspacetest.New(docspacetest.Options{Seed: 1, Now: func() time.Time { return time.Unix(s.now.Load(), 0) }})
	for _, p := range []person{mallory, eve} {
		s.people[p] = s.portal.AddUser(string(p), string(p)+"@example.com")
	}
	s.people[anybody] = docspacetest.Guest()
	s.qa = s.portal.NewGroup("QA")
	s.furnish()
	site := httptest.NewServer(s.portal)
	t.Cleanup(site.Close)
	s.cfg = demoConfig(site.URL, s.portal.APIKey(), "")
	s.cfg.NATS.URL, s.cfg.NATS.Stream, s.cfg.NATS.SubjectPrefix = config.ServerURL(server), stream, stream
	return s
}

func (s *stage) furnish() {
	for _, name := range []string{"Sales", "Legal"} {
		s.rooms[name] = s.portal.CreateRoom(nil, name)
	}
	sales := s.rooms["Sales"]
	s.rooms["Drafts"] = s.portal.CreateFolder(nil, sales, "Drafts")
	s.rooms["Untitled"] = s.portal.CreateFolder(nil, sales, "")
	for i := range 60 {
		s.stock["file"] = append(s.stock["file"], s.portal.Upload(nil, sales, fmt.Sprintf("Offer %d.docx", i))...)
		s.stock["draft"] = append(s.stock["draft"], s.portal.Upload(nil, s.rooms["Drafts"], fmt.Sprintf("Draft %d.docx", i))...)
	}
	for i := range 15 {
		s.stock["folder"] = append(s.stock["folder"], s.portal.CreateFolder(nil, sales, fmt.Sprintf("Deal %d", i)))
	}
}

// watch runs the connector until it has stored all there is, as with --once.
func (s *stage) watch() {
	s.t.Helper()
	c, err := connect(s.t.Context(), s.cfg, 0, zerolog.Nop())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	if err := c.catchUp(s.t.Context(), zerolog.Nop()); err != nil && !s.troubled {
		s.t.Fatal(err)
	}
	if s.js == nil {
		s.open()
	}
}

func (s *stage) open() {
	s.t.Helper()
	nc, err := nats.Connect(string(s.cfg.NATS.URL))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc); err != nil {
		s.t.Fatal(err)
	}
	if s.stream, err = s.js.Stream(s.t.Context(), s.cfg.NATS.Stream); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) perform(acts []act) {
	for _, a := range acts {
		a(s)
	}
}

// events reads all the stream holds of events.
func (s *stage) events() []sigmatest.Event {
	s.t.Helper()
	subjects := s.cfg.NATS.SubjectPrefix + ".folder.>"
	info, err := s.stream.Info(s.t.Context(), jetstream.WithSubjectFilter(subjects))
	if err != nil {
		s.t.Fatal(err)
	}
	left := 0
	for _, n := range info.State.Subjects {
		left += int(n)
	}
	consumer, err := s.stream.OrderedConsumer(s.t.Context(), jetstream.OrderedConsumerConfig{FilterSubjects: []string{subjects}})
	if err != nil {
		s.t.Fatal(err)
	}
	events := make([]sigmatest.Event, 0, left)
	for ; left > 0; left-- {
		msg, err := consumer.Next()
		if err != nil {
			s.t.Fatal(err)
		}
		event, err := sigmatest.ParseEvent(msg.Data())
		if err != nil {
			s.t.Fatal(err)
		}
		events = append(events, event)
	}
	return slices.Clip(events)
}
