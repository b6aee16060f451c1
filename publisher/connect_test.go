package publisher

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher/natstest"
)

const password = "hunter2"

func withPassword(o *server.Options) { o.Username, o.Password = "connector", password }

func TestConnectTakesUserAndPasswordFromTheAddressAndTellsNobody(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t, withPassword)
	address := strings.Replace(s.URL(), "nats://", "nats://connector:"+password+"@", 1)
	nc, err := Connect(t.Context(), ConnectOptions{URL: "127.0.0.1:1, " + address})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	for _, bad := range []string{
		strings.Replace(address, "connector", "other", 1),
		"nats://connector:" + password + "%zz@127.0.0.1:4222",
		"ftp://connector:" + password + "@127.0.0.1",
		"nats://connector:" + password + "@",
		"nats://connector:" + password + "@127.0.0.1:1",
	} {
		nc, err := Connect(t.Context(), ConnectOptions{URL: bad})
		if err == nil {
			nc.Close()
			t.Errorf("Connect to %s succeeded", bad)
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestConnectSaysWhyAServerRefuses(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t, withPassword)
	start := time.Now()
	_, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), RetryFor: 2 * natstest.Patience})
	if !errors.Is(err, nats.ErrAuthorization) || !strings.Contains(err.Error(), "rejects these credentials") {
		t.Errorf("Connect = %v", err)
	}
	if took := time.Since(start); took > natstest.Patience {
		t.Errorf("a refusal was repeated for %s", took)
	}
}

func TestConnectWaitsForAServerOnlyIfAskedTo(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	s.Shutdown()
	if _, err := Connect(t.Context(), ConnectOptions{URL: s.URL()}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("Connect = %v, want no server", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, ConnectOptions{URL: s.URL(), RetryFor: -1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect = %v, want the end of the context", err)
	}
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		s.Restart()
	}()
	nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), RetryFor: natstest.Patience})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	<-restarted
}

func TestConnectTellsWhenTheConnectionIsLostAndBack(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	changes := make(chan bool, 16)
	nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), Changed: func(connected bool, _ error) { changes <- connected }})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s.Restart()
	for _, want := range []bool{false, true} {
		if got := <-changes; got != want {
			t.Fatalf("told connected is %t, want %t", got, want)
		}
	}
}

func TestConnectNamesTheFileThatIsWrongAndShowsNoneOfIt(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	text := write(t, []byte(password))
	for name, o := range map[string]ConnectOptions{
		"no such file":               {Credentials: filepath.Join(t.TempDir(), "absent")},
		"nkey seed file " + text:     {NKeySeed: text},
		text + " holds no PEM":       {CA: text},
		"must both be given":         {Cert: text},
		"client certificate " + text: {Cert: text, Key: text},
		"certificate authorities":    {CA: filepath.Join(t.TempDir(), "absent")},
	} {
		o.URL = s.URL()
		_, err := Connect(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), password) {
			t.Errorf("Connect = %v, want %q", err, name)
		}
	}
}

// The client library gives up after 60 attempts unless told otherwise.
func TestAServerThatComesBackMuchLaterIsFound(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	back := make(chan struct{}, 1)
	nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), Changed: func(connected bool, err error) {
		if connected && err == nil {
			back <- struct{}{}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j := open(t, nc, Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
	// Much later, in a short time.
	nc.Opts.ReconnectWait, nc.Opts.ReconnectJitter = time.Millisecond, time.Millisecond
	nc.Status() // whoever reconnects sees that
	s.Shutdown()
	deaf, err := net.Listen("tcp", strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := deaf.(*net.TCPListener).SetDeadline(time.Now().Add(natstest.Patience)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		conn, err := deaf.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	deaf.Close()
	s.Restart()
	select {
	case <-back:
	case <-time.After(natstest.Patience):
		t.Fatal("not connected again")
	}
	push(t, j, mark, 10)
	checkInvariants(t, j, 7)
}

func TestAServerInLameDuckModeHandsItsClientsOverAndNothingIsLost(t *testing.T) {
	t.Parallel()
	cluster := natstest.Cluster(t, 3, func(o *server.Options) {
		o.LameDuckDuration, o.LameDuckGracePeriod = 2*time.Second, 10*time.Millisecond
	})
	nc, err := Connect(t.Context(), ConnectOptions{URL: cluster.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j := open(t, nc, Options{Replicas: 3})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
	before, left := nc.ConnectedServerId(), make(chan struct{})
	for _, s := range cluster.Servers {
		if s.Embedded().ID() == before {
			go func() {
				defer close(left)
				s.Embedded().LameDuckShutdown()
			}()
		}
	}
	for gone := false; !gone || nc.ConnectedServerId() == before; {
		mark = push(t, j, mark, 10)
		select {
		case <-left:
			gone = true
		default:
		}
	}
	push(t, j, mark, 10)
	checkInvariants(t, j, 7)
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
