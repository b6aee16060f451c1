package publisher

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// ErrLocalNotRunning is returned for a directory no embedded server uses now.
var ErrLocalNotRunning = errors.New("no connector runs with the directory")

// A LocalAddress is where the embedded server of another process listens.
type LocalAddress struct {
	URL string
	dir string
	id  string // of the server, new at each start
}

// LocalUsed reports whether an embedded server ever kept its files in dir.
func LocalUsed(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, lockName))
	return err == nil
}

// FindLocal returns where the embedded server that uses dir listens, or listened
// until it was killed: see Check.
func FindLocal(dir string) (LocalAddress, error) {
	text, err := os.ReadFile(filepath.Join(dir, addressName))
	if errors.Is(err, os.ErrNotExist) {
		return LocalAddress{}, fmt.Errorf("%w %s", ErrLocalNotRunning, dir)
	}
	if err != nil {
		return LocalAddress{}, fmt.Errorf("address of the embedded NATS: %w", err)
	}
	url, id, found := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !found {
		return LocalAddress{}, fmt.Errorf("address of the embedded NATS: %s holds none; restart the connector", filepath.Join(dir, addressName))
	}
	return LocalAddress{url, dir, id}, nil
}

// Check refuses a connection to a server that took the port of one that was
// killed.
func (a LocalAddress) Check(nc *nats.Conn) error {
	if nc.ConnectedServerId() != a.id {
		return fmt.Errorf("%w %s any more: %s is another server", ErrLocalNotRunning, a.dir, a.URL)
	}
	return nil
}

// tellAddress leaves the address in the directory. A crash leaves it, too; the
// server's id tells that it is out of date. Where it cannot be written, as on a
// full disk, nobody finds the server by it, which is no reason to stop one.
func (l *Local) tellAddress(srv *server.Server) {
	url := "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(l.o.Port))
	name := filepath.Join(l.o.Dir, addressName)
	if err := os.WriteFile(name+".new", []byte(url+" "+srv.ID()+"\n"), 0o600); err == nil {
		_ = os.Rename(name+".new", name)
	}
}
