package publisher

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
)

// stuff commits large events of a folder until the store takes no more. A failed
// commit may have happened, so it goes on from the mark.
func stuff(t *testing.T, j *JetStream, mark checkpoint.Mark) {
	t.Helper()
	for {
		events := following(mark, 200)
		for i := range events {
			events[i].Data.Feed.Title = strings.Repeat("x", 6000)
		}
		next, err := j.Commit(t.Context(), mark.Folder, events, mark, checkpointtest.After(mark, events))
		if err != nil {
			var refused *StoreError
			if !errors.As(err, &refused) || !refused.Temporary() {
				t.Errorf("a full store = %v, want a StoreError that is temporary", err)
			}
			t.Logf("after %d events: %v", mark.Accounted, err)
			return
		}
		mark = next
	}
}

func TestAFullDiskStopsTheEmbeddedServerAndRoomStartsItWithNothingLostOrTwice(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]LocalOptions{"by the interval": {}, "always synced": {SyncAlways: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := natstest.SmallDisk(t, 64<<20)
			ballast := filepath.Join(dir, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 40<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			var said log
			o.Dir, o.MaxStore, o.Log = dir, 1<<40, said.add
			l := startLocal(t, o)
			t.Cleanup(l.Shutdown)
			url := l.URL()
			j := open(t, localConn(t, l), Options{RetryFor: time.Second})
			stuff(t, j, checkpoint.Mark{Folder: 7})
			natstest.Eventually(t, "the server says that it is stopped", func() bool { return l.Trouble() != nil })
			if !strings.Contains(l.Trouble().Error(), "free some room") || !said.has(LocalError, "stopped storing") {
				t.Errorf("trouble: %v; said %v", l.Trouble(), &said)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			natstest.Eventually(t, "the server says that it is back", func() bool {
				return said.has(LocalInfo, "stores again") && l.Trouble() == nil && j.nc.IsConnected()
			}, &said)
			if l.URL() != url {
				t.Errorf("%s became %s", url, l.URL())
			}
			j.o.RetryFor = natstest.Patience
			mark := checkInvariants(t, j, 7)
			push(t, j, mark, 100)
			checkInvariants(t, j, 7)
		})
	}
}

func TestAServerThatIsStoppedForItsDiskCanBeShutDown(t *testing.T) {
	t.Parallel()
	dir := natstest.SmallDisk(t, 24<<20)
	l := startLocal(t, LocalOptions{Dir: dir, MaxStore: 1 << 40})
	j := open(t, localConn(t, l), Options{RetryFor: time.Second})
	stuff(t, j, checkpoint.Mark{Folder: 7})
	natstest.Eventually(t, "the server says that it is stopped", func() bool { return l.Trouble() != nil })
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Shutdown()
	}()
	select {
	case <-done:
	case <-time.After(natstest.Patience):
		t.Fatal("Shutdown waits for room")
	}
	if err := LocalUsable(dir); err == nil || !strings.Contains(err.Error(), "less than 16 MiB are free") {
		t.Errorf("LocalUsable = %v", err)
	}
}

// The limit is the portable form of a full disk: the server refuses, and stays.
func TestAtItsSizeLimitTheEmbeddedServerRefusesAndTakesWhatComesOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	l := startLocal(t, LocalOptions{Dir: t.TempDir(), MaxStore: 24 << 20})
	t.Cleanup(l.Shutdown)
	j := open(t, localConn(t, l), Options{RetryFor: time.Second})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 100)
	stuff(t, j, checkpoint.Mark{Folder: 8})
	events := following(mark, 900)
	for i := range events {
		events[i].Data.Feed.Title = strings.Repeat("x", 2000)
	}
	j.o.RetryFor = natstest.Patience // until it is refused: at first the server may say nothing
	if _, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events)); err == nil || !strings.Contains(err.Error(), "make room, or raise the limit") {
		t.Fatalf("at the limit: %v", err)
	}
	if l.Trouble() != nil {
		t.Errorf("trouble: %v", l.Trouble())
	}
	if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject("docspace.folder.8.>")); err != nil {
		t.Fatal(err)
	}
	if mark, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events)); err != nil || mark.Accounted != 1000 {
		t.Fatalf("with room: %v", err)
	}
	checkInvariants(t, j, 7)
}

// A log keeps what the embedded server says.
type log struct {
	mu    sync.Mutex
	lines []string
	level []LocalLevel
}

func (l *log) add(level LocalLevel, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.level = append(l.lines, text), append(l.level, level)
}

func (l *log) has(level LocalLevel, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, line := range l.lines {
		if l.level[i] == level && strings.Contains(line, text) {
			return true
		}
	}
	return false
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// A disk fails in other ways than by being full, which tests cannot bring about:
// the server then says one of two things.
func TestAServerThatGaveUpForAnotherReasonIsStartedAgain(t *testing.T) {
	t.Parallel()
	for what, giveUp := range map[string]func(*server.Server){
		"JetStream is switched off": func(s *server.Server) { _ = s.ShutdownJetStream() },
		"a stream takes no writes": func(s *server.Server) {
			s.Errorf("Filestore [DOCSPACE] Critical write error: %v", "input/output error")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var said log
			l := startLocal(t, LocalOptions{Dir: t.TempDir(), Log: said.add})
			t.Cleanup(l.Shutdown)
			j := open(t, localConn(t, l), Options{})
			mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
			giveUp(l.srv)
			natstest.Eventually(t, "the server is back", func() bool { return said.has(LocalInfo, "stores again") && j.nc.IsConnected() })
			push(t, j, mark, 10)
			checkInvariants(t, j, 7)
		})
	}
}

func TestARepairThatFindsItsPortTakenSaysSoAndGoesOn(t *testing.T) {
	t.Parallel()
	l, err := StartLocal(LocalOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Shutdown)
	address := strings.TrimPrefix(l.URL(), "nats://")
	var taken net.Listener
	natstest.Eventually(t, "the port is taken by another", func() bool {
		select {
		case l.failed <- "critical write error": // again where the server was quicker
		default:
		}
		taken, err = net.Listen("tcp", address)
		return err == nil
	})
	t.Cleanup(func() { _ = taken.Close() })
	natstest.Eventually(t, "it stores again, or says what it waits for", func() bool {
		trouble := l.Trouble()
		return trouble == nil || strings.Contains(trouble.Error(), "in use")
	})
}
