package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"docspace-nats/poller/docspace/docspacetest"
)

// portalMain serves a simulated portal until it is killed: portal-process ROOMS ROWS.
func portalMain() {
	rooms, _ := strconv.Atoi(os.Args[1])
	rows, _ := strconv.Atoi(os.Args[2])
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	portal := docspacetest.New(docspacetest.Options{Host: listener.Addr().String(), Seed: 1})
	for i := range rooms {
		// Creating the room is its first row.
		portal.Fill(portal.CreateRoom(nil, fmt.Sprintf("Room %d", i)), rows-1, uint64(i))
	}
	fmt.Printf("http://%s %s\n", listener.Addr(), portal.APIKey())
	fmt.Fprintln(os.Stderr, http.Serve(listener, portal))
	os.Exit(1)
}
