package docspace

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// sign is what a portal does with a body, in the case it writes.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return fmt.Sprintf("sha256=%X", mac.Sum(nil))
}

const delivery = `{"event":{"id":7,"createOn":"2026-03-02T12:04:05Z","createBy":"4c65a238-ca50-4374-b904-0d51d4c1822b","trigger":"file.uploaded","triggerId":256},` +
	`"payload":{"parentId":1310,"id":7781,"title":"Plan.docx"},"webhook":{"id":1,"name":"connector"}}`

func TestOnlyTheRightSignatureOfThisBodyIsAccepted(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	body := []byte(delivery)
	good := sign(secret, body)
	for name, c := range map[string]struct {
		secret, header string
		body           []byte
		want           *SignatureError
	}{
		"as the portal writes it": {secret, good, body, nil},
		"lower case":              {secret, strings.ToLower(good), body, nil},
		"missing":                 {secret, "", body, errUnsigned},
		"truncated":               {secret, good[:len(good)-1], body, errGarbled},
		"shorter":                 {secret, good[:len(good)-2], body, errGarbled},
		"longer":                  {secret, good + "00", body, errGarbled},
		"nothing behind it":       {secret, "sha256=", body, errGarbled},
		"not hexadecimal":         {secret, "sha256=" + strings.Repeat("x", 64), body, errGarbled},
		"another algorithm":       {secret, strings.Replace(good, "sha256", "sha512", 1), body, errGarbled},
		"bare":                    {secret, strings.TrimPrefix(good, "sha256="), body, errGarbled},
		"another body":            {secret, good, []byte(strings.Replace(delivery, "1310", "1311", 1)), errMismatch},
		"a body with more":        {secret, good, append([]byte(delivery), '\n'), errMismatch},
		"no body":                 {secret, good, nil, errMismatch},
		"another secret":          {secret, sign("hunter3hunter3", body), body, errMismatch},
		"no secret here":          {"", sign("", body), body, errNoSecret},
	} {
		_, err := ParseWebhook(c.secret, c.header, c.body)
		var got *SignatureError
		errors.As(err, &got)
		if got != c.want || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(strings.ToUpper(err.Error()), good[7:])) {
			t.Errorf("%s: shows a secret: %v", name, err)
		}
	}
}

func TestADeliveryTellsWhatItIsAbout(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Webhook{
		delivery: {"file.uploaded", KindFile, 7781, 1310},
		`{"event":{"trigger":"folder.moved"},"payload":{"id":"1310","parentId":"1204","title":"\u0000\ud83d"}}`:                  {"folder.moved", KindFolder, 1310, 1204},
		`{"payload":{"id":1204,"parentId":2,"roomType":2},"event":{"trigger":"room.archived"},"webhook":null,"more":[1]}`:        {"room.archived", KindRoom, 1204, 2},
		`{"event":{"trigger":"agent.created"},"payload":{"id":1500}}`:                                                            {"agent.created", KindRoom, 1500, 0},
		`{"event":{"trigger":"form.submit"},"payload":{"id":7,"parentId":8}}`:                                                    {"form.submit", KindFile, 7, 8},
		`{"event":{"trigger":"file.created"},"payload":{"id":"sbox-12-|a","parentId":"sbox-12-|","title":"from elsewhere"}}`:     {"file.created", KindFile, 0, 0},
		`{"event":{"trigger":"user.updated"},"payload":{"id":"4c65a238-ca50-4374-b904-0d51d4c1822b","userName":"a"}}`:            {"user.updated", KindOther, 0, 0},
		`{"event":{"trigger":"file.moved"},"payload":{"id":-3,"parentId":99999999999999}}`:                                       {"file.moved", KindFile, 0, 0},
		`{"event":{"trigger":"planet.created"},"payload":{"id":1,"parentId":2}}`:                                                 {"planet.created", KindOther, 1, 2},
		`{"event":null,"payload":{"id":1.5,"parentId":[]}}`:                                                                      {"", KindOther, 0, 0},
		`{"event":{"trigger":"file.moved by zoe@example.com"},"payload":{"id":7}}`:                                               {"", KindOther, 7, 0},
		"\ufeff" + `{"event":{"trigger":"` + strings.Repeat("x", 2000) + `"},"payload":{}}`:                                      {"", KindOther, 0, 0},
		`{"event":{"trigger":"file.created"},"payload":{"id":5,"parentId":6},"payload":{"id":7,"parentId":"a third-party one"}}`: {"file.created", KindFile, 7, 0},
	} {
		got, err := ParseWebhook("s", sign("s", []byte(body)), []byte(body))
		if got != want || err != nil {
			t.Errorf("%.200s:\n%+v, want %+v: %v", body, got, want, err)
		}
	}
}

func TestASignedDeliveryThatCannotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", "[]", "{", "{}", `{"event":{}}`, `{"payload":null}`, `{"payload":"x"}`, `{"payload":{}} {}`, strings.Repeat("[", 20_000)} {
		_, err := ParseWebhook("s", sign("s", []byte(body)), []byte(body))
		if signature := new(SignatureError); err == nil || errors.As(err, &signature) {
			t.Errorf("%.20s: %v, want an error about the body", body, err)
		}
	}
}

// FuzzWebhook holds that nothing posted can upset the reader, and that only the
// signature of the very body is accepted, in either case.
func FuzzWebhook(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		right := sign("s", body)
		before := bytes.Clone(body)
		w, err := ParseWebhook("s", header, body)
		signature := new(SignatureError)
		if refused := errors.As(err, &signature); refused == strings.EqualFold(header, right) && header[:min(7, len(header))] == "sha256=" {
			t.Errorf("%q for %q: %v", header, body, err)
		}
		if err == nil && CheckSignature(header) != nil {
			t.Errorf("%q is accepted, and refused before its body is read", header)
		}
		if err != nil && w != (Webhook{}) {
			t.Errorf("%+v beside %v", w, err)
		}
		upper, errUpper := ParseWebhook("s", right, body)
		lower, errLower := ParseWebhook("s", strings.ToLower(right), body)
		if errors.As(errUpper, &signature) || upper != lower || (errUpper == nil) != (errLower == nil) {
			t.Errorf("%q: %+v %v, in lower case %+v %v", body, upper, errUpper, lower, errLower)
		}
		if upper.ID < 0 || upper.ParentID < 0 || len(upper.Trigger) > maxLine+len("…") {
			t.Errorf("%q: %+v", body, upper)
		}
		if !bytes.Equal(before, body) {
			t.Errorf("%q was changed to %q", before, body)
		}
	})
}
