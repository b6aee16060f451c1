package natstest

import (
	"net/url"
	"os"
	"strconv"

	"github.com/go-json-experiment/json"
)

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
