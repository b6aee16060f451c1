package docspacetest_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"docspace-nats/poller/docspace/docspacetest"
)

// A portal is asked without a socket, and sees somebody act between two pages.
func Example() {
	portal := docspacetest.New(docspacetest.Options{
		Now: func() time.Time { return time.Date(2026, 3, 2, 12, 4, 5, 0, time.UTC) },
	})
	room := portal.CreateRoom(nil, "Sales")
	portal.Upload(nil, room, "Plan.docx")
	portal.AfterPage(func(folder, start int) { portal.Upload(nil, folder, "Late.docx") })

	client := &http.Client{Transport: portal}
	r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/api/2.0/files/folder/%d/log?count=1", portal.URL(), room), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+portal.APIKey())
	answer, err := client.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status, answer.Header.Get("Content-Type"))
	for _, row := range portal.Rows(room) {
		fmt.Println(row.Key, row.Title)
	}
	// Output:
	// 200 OK application/json; charset=utf-8
	// RoomCreated Sales
	// FileUploaded Plan.docx
	// FileUploaded Late.docx
}
