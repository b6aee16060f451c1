package docspacetest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// triggers are what a webhook can be told, numbered by their bits.
var triggers = []string{
	"user.created", "user.invited", "user.updated", "user.deleted", "group.created", "group.updated", "group.deleted",
	"file.created", "file.uploaded", "file.updated", "file.trashed", "file.deleted", "file.restored", "file.copied", "file.moved",
	"folder.created", "folder.updated", "folder.trashed", "folder.deleted", "folder.restored", "folder.copied", "folder.moved",
	"room.created", "room.updated", "room.archived", "room.deleted", "room.restored", "room.copied",
}

// triggerOf names what of the log webhooks are told; of sharing, members, tags
// and links they are told nothing.
var triggerOf = map[int]string{
	5000: "file.created", 5001: "file.updated", 5011: "file.uploaded", 5013: "file.copied", 5014: "file.copied", 5015: "file.moved",
	5016: "file.moved", 5017: "file.trashed", 5018: "file.deleted", 5034: "file.updated", 5044: "file.updated", 5099: "file.updated",
	5019: "folder.created", 5020: "folder.updated", 5022: "folder.copied", 5023: "folder.copied", 5024: "folder.moved",
	5025: "folder.moved", 5026: "folder.trashed", 5027: "folder.deleted",
	5070: "room.created", 5071: "room.updated", 5072: "room.archived", 5073: "room.restored", 5100: "room.copied",
}

const (
	webhookBacklog = 1024 // deliveries kept while one is under way; others are lost
	webhookTries   = 6
	webhookPause   = time.Second // before the second try, twice that before the next
)

// Webhook posts what people do to uri, signed with secret, until ctx ends or
// the receiver answers 410. A delivery may come before the row is in a log, and
// is repeated five times when it is not answered well. Versions before 3.1 have
// no such webhooks and post nothing.
func (p *Portal) Webhook(ctx context.Context, uri, secret string, via http.RoundTripper) {
	posts := make(chan []byte, webhookBacklog)
	p.mu.Lock()
	p.webhooks = append(p.webhooks, posts)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.webhooks = slices.DeleteFunc(p.webhooks, func(c chan []byte) bool { return c == posts })
	}()
	for {
		select {
		case body := <-posts:
			if deliver(ctx, via, uri, secret, body) == http.StatusGone {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// deliver posts until the answer is good or tries run out, and returns the
// last status, 0 for none.
func deliver(ctx context.Context, via http.RoundTripper, uri, secret string, body []byte) (status int) {
	for try := range webhookTries {
		if try > 0 && !sleep(ctx, webhookPause<<(try-1)) {
			return status
		}
		status = post(ctx, via, uri, secret, body)
		if status/100 == 2 || status == http.StatusGone {
			return status
		}
	}
	return status
}

func post(ctx context.Context, via http.RoundTripper, uri, secret string, body []byte) (status int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(string(body)))
	if err != nil {
		return 0
	}
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write(body)
	r.Header.Set("Content-Type", contentJSON)
	r.Header.Set("X-Docspace-Signature-256", fmt.Sprintf("sha256=%X", sum.Sum(nil)))
	answer, err := via.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxRequestBody)); err != nil {
		return 0
	}
	return answer.StatusCode
}

// tell gives a row to the webhooks.
func (p *Portal) tell(r *row) {
	trigger := triggerOf[r.kind.code]
	if len(p.webhooks) == 0 || trigger == "" || !p.profile.has(hooksKnown) {
		return
	}
	p.posted++
	w := writer{b: []byte{'{'}}
	w.object("event")
	w.num("id", p.posted)
	w.str("createOn", p.now().UTC().Format("2006-01-02T15:04:05Z"))
	w.str("createBy", r.by.ID)
	w.str("trigger", trigger)
	w.num("triggerId", 1<<slices.Index(triggers, trigger))
	w.endObject()
	w.object("payload")
	w.num("parentId", int64(r.at.id))
	w.num("id", int64(r.entry))
	w.str("title", r.title)
	w.endObject()
	w.object("webhook")
	w.num("id", 1)
	w.str("name", "connector")
	w.endObject()
	w.endObject()
	for _, posts := range p.webhooks {
		select {
		case posts <- w.b:
		default:
		}
	}
}
