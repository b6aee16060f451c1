package docspacetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// A receiver answers posts with the statuses it is sent, and passes them on.
type receiver struct {
	answers chan int
	posts   chan posted
}

type posted struct {
	at     time.Time
	signed string
	body   []byte
}

func newReceiver(answers ...int) receiver {
	r := receiver{make(chan int, 10), make(chan posted, 10)}
	for _, status := range answers {
		r.answers <- status
	}
	return r
}

func (r receiver) RoundTrip(post *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(post.Body)
	if err != nil {
		return nil, err
	}
	r.posts <- posted{time.Now(), post.Header.Get("x-docspace-signature-256"), body}
	return &http.Response{StatusCode: <-r.answers, Body: http.NoBody}, nil
}

func TestWebhooksTellWhatHappenedSignedAndUntilAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		room := p.CreateRoom(nil, "Sales")
		to := newReceiver(500, 503, 204, http.StatusGone)
		ended := make(chan struct{})
		go func() { p.Webhook(t.Context(), "https://hint.example/hook", "secret", to); close(ended) }()
		synctest.Wait()
		restore := p.Outage()
		p.Upload(nil, room, "Plan.docx")
		p.AddTags(nil, room, "alpha") // of which webhooks know nothing
		first, second, third := <-to.posts, <-to.posts, <-to.posts
		if second.at.Sub(first.at) != time.Second || third.at.Sub(second.at) != 2*time.Second || p.Count(room) != 1 {
			t.Errorf("tries at %v, %v, %v, %d rows; want 1s and 2s between, and before the row", first.at, second.at, third.at, p.Count(room))
		}
		restore()
		sum := hmac.New(sha256.New, []byte("secret"))
		sum.Write(third.body)
		if want := "sha256=" + strings.ToUpper(fmt.Sprintf("%x", sum.Sum(nil))); third.signed != want {
			t.Errorf("signature %s, want %s", third.signed, want)
		}
		var got struct {
			Event struct {
				Trigger   string `json:"trigger"`
				TriggerID int    `json:"triggerId"`
			} `json:"event"`
			Payload struct {
				ParentID int    `json:"parentId"`
				Title    string `json:"title"`
			} `json:"payload"`
		}
		if err := json.Unmarshal(first.body, &got); err != nil {
			t.Fatal(err)
		}
		if got.Event.Trigger != "file.uploaded" || got.Event.TriggerID != 256 || got.Payload.ParentID != room || got.Payload.Title != "Plan.docx" {
			t.Errorf("posted %s", first.body)
		}
		p.Upload(nil, room, "b")
		<-ended
		p.Upload(nil, room, "c")
		synctest.Wait()
		if n := len(to.posts); n != 1 {
			t.Errorf("%d posts, want none after the receiver was gone", n-1)
		}
	})
}

// hooksKnown
func TestOnlyVersionsWithTriggersPostToWebhooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := across(t, Options{}, func(p *Portal, _ string) string {
			to := newReceiver(200)
			go p.Webhook(t.Context(), "https://hint.example/hook", "secret", to)
			synctest.Wait()
			p.CreateRoom(nil, "Sales")
			synctest.Wait()
			return fmt.Sprint(len(to.posts))
		})
		if diff := cmp.Diff(repeat("0", 2, "1", 5), got); diff != "" {
			t.Errorf("posts (-want +got):\n%s", diff)
		}
	})
}
