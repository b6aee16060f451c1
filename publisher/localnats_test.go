package publisher

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher/natstest"
)

func TestTheEmbeddedServerKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := startLocal(t, LocalOptions{Dir: dir})
	j := open(t, localConn(t, l), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 100)
	j.nc.Close()
	l.Shutdown()

	l = startLocal(t, LocalOptions{Dir: dir, SyncAlways: true})
	defer l.Shutdown()
	j = open(t, localConn(t, l), Options{})
	if now := checkInvariants(t, j, 7); now.Revision != mark.Revision {
		t.Fatalf("revision %d after the restart, want %d", now.Revision, mark.Revision)
	}
	push(t, j, mark, 100)
	checkInvariants(t, j, 7)
}

func TestTheEmbeddedServerListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	l := startLocal(t, LocalOptions{Dir: t.TempDir()})
	defer l.Shutdown()
	ports := l.srv.PortsInfo(10 * time.Second)
	if diff := cmp.Diff(&server.Ports{Nats: []string{l.URL()}}, ports); diff != "" {
		t.Errorf("open ports (-want +got):\n%s", diff)
	}
	u, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(u.Hostname()); !ip.IsLoopback() {
		t.Errorf("it listens on %s", u.Hostname())
	}
	nc, err := nats.Connect(l.URL(), nats.Timeout(natstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestWhatTheEmbeddedServerStoresIsClosedToOthers(t *testing.T) {
	t.Parallel()
	fresh, mounted := filepath.Join(t.TempDir(), "data"), t.TempDir()
	if err := os.Chmod(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, private := range map[string]string{fresh: fresh, mounted: filepath.Join(mounted, "jetstream")} {
		l := startLocal(t, LocalOptions{Dir: dir})
		push(t, open(t, localConn(t, l), Options{}), checkpoint.Mark{Folder: 7}, 1)
		l.Shutdown()
		info, err := os.Stat(private)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode != 0o700 {
			t.Errorf("%s has mode %o", private, mode)
		}
	}
}

func TestASecondEmbeddedServerOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := startLocal(t, LocalOptions{Dir: dir})
	if _, err := StartLocal(LocalOptions{Dir: dir}); !errors.Is(err, ErrLocalInUse) {
		t.Errorf("StartLocal = %v, want ErrLocalInUse", err)
	}
	if out, err := secondProcess(t, dir); err == nil || !strings.Contains(out, "another process uses this directory") {
		t.Errorf("a second process: %v\n%s", err, out)
	}
	l.Shutdown()
	if out, err := secondProcess(t, dir); err != nil {
		t.Errorf("a second process after Shutdown: %v\n%s", err, out)
	}
}

const secondProcessDir = "PUBLISHER_TEST_LOCAL_DIR"

// secondProcess runs this test binary again, to start a server on dir.
func secondProcess(t *testing.T, dir string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMain$")
	cmd.Env = append(os.Environ(), secondProcessDir+"="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestMain(m *testing.M) {
	dir := os.Getenv(secondProcessDir)
	if dir == "" {
		natstest.Together()
		os.Exit(m.Run())
	}
	l, err := StartLocal(LocalOptions{Dir: dir})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	l.Shutdown()
}

func TestAnEmbeddedServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	if _, err := StartLocal(LocalOptions{}); err == nil {
		t.Error("StartLocal without a directory succeeded")
	}
	if _, err := StartLocal(LocalOptions{Dir: write(t, nil)}); err == nil {
		t.Error("StartLocal on a file succeeded")
	}
}

func startLocal(t *testing.T, o LocalOptions) *Local {
	t.Helper()
	l, err := StartLocal(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func localConn(t *testing.T, l *Local) *nats.Conn {
	t.Helper()
	nc, err := Connect(t.Context(), ConnectOptions{Local: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestADirectoryIsUsableWhenTheEmbeddedServerCouldStartInIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := LocalUsable(filepath.Join(dir, "not", "there", "yet")); err != nil {
		t.Errorf("absent directory: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := LocalUsable(file); err == nil {
		t.Error("a file is no directory")
	}
	local, err := StartLocal(LocalOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := LocalUsable(dir); !errors.Is(err, ErrLocalInUse) {
		t.Errorf("directory in use: %v", err)
	}
	local.Shutdown()
	if err := LocalUsable(dir); err != nil {
		t.Errorf("directory that was in use: %v", err)
	}
}

func TestALocalServerTakesAnotherPortWhenItsOwnIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	local, err := StartLocal(LocalOptions{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Shutdown()
	if strings.HasSuffix(local.URL(), fmt.Sprint(":", port)) {
		t.Fatalf("listens on %s, which is taken", local.URL())
	}
	nc, err := nats.Connect(local.URL(), nats.Timeout(natstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
