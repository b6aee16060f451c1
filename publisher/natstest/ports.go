package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"

	"github.com/go-json-experiment/json"
)

// loopback returns an address that nobody else listens on, so that nobody takes a port
// there while its server is stopped, nor answers the clients of that server. Systems
// with one address only have no such.
func loopback() string {
	own := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	l, err := net.Listen("tcp", net.JoinHostPort(own, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	l.Close()
	return own
}

// portIn reads the client port out of a server's ports file, 0 while the file
// is not there or not complete.
func portIn(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	var ports struct {
		Nats []string `json:"nats"`
	}
	if json.Unmarshal(text, &ports) != nil || len(ports.Nats) == 0 {
		return 0
	}
	address, err := url.Parse(ports.Nats[0])
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(address.Port())
	return port
}
