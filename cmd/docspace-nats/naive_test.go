package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// naiveMain is the program one would write first, to measure against: page by
// page, encoding/json, one publish and one acknowledgement for each event.
// naive-process PORTAL KEY NATS
func naiveMain() {
	rows, err := naive(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(rows)
}

type naiveEntry struct {
	ID     int64 `json:"id"`
	Action struct {
		ID  int    `json:"id"`
		Key string `json:"key"`
	} `json:"action"`
	Initiator json.RawMessage `json:"initiator"`
	Date      string          `json:"date"`
	Data      json.RawMessage `json:"data"`
	Related   []naiveEntry    `json:"related"`
}

func naive(portal, key, server string) (rows int, err error) {
	nc, err := nats.Connect(server)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "NAIVE", Subjects: []string{"naive.>"}}); err != nil {
		return 0, err
	}
	var rooms struct {
		Response struct {
			Folders []struct{ ID int }
			Total   int
		}
	}
	for start := 0; start == 0 || start < rooms.Response.Total; start += 100 {
		if err := naiveGet(portal, key, fmt.Sprintf("/api/2.0/files/rooms?count=100&startIndex=%d", start), &rooms); err != nil {
			return rows, err
		}
		for _, room := range rooms.Response.Folders {
			n, err := naiveFolder(ctx, js, portal, key, room.ID)
			if rows += n; err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

func naiveFolder(ctx context.Context, js jetstream.JetStream, portal, key string, folder int) (rows int, err error) {
	var page struct {
		Response []naiveEntry
		Total    int
	}
	for start := 0; start == 0 || start < page.Total; start += 100 {
		page.Response = nil
		if err := naiveGet(portal, key, fmt.Sprintf("/api/2.0/files/folder/%d/log?count=100&startIndex=%d", folder, start), &page); err != nil {
			return rows, err
		}
		for _, entry := range page.Response {
			related := entry.Related
			entry.Related = nil
			for _, e := range append(related, entry) {
				event, err := json.Marshal(map[string]any{"folder": folder, "id": e.ID, "action": e.Action, "actor": e.Initiator, "time": e.Date, "data": e.Data})
				if err != nil {
					return rows, err
				}
				if _, err := js.Publish(ctx, fmt.Sprintf("naive.folder.%d.%s", folder, e.Action.Key), event); err != nil {
					return rows, err
				}
				rows++
			}
		}
	}
	return rows, nil
}

func naiveGet(portal, key, path string, answer any) error {
	request, err := http.NewRequest(http.MethodGet, portal+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
