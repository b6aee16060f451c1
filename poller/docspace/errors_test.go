package docspace

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var sentinels = map[string]error{
	"unauthorized": ErrUnauthorized, "forbidden": ErrForbidden, "scope": ErrScope, "not found": ErrNotFound,
	"rate": ErrRateLimited, "payment": ErrPayment, "portal": ErrPortal, "too large": ErrTooLarge,
}

func TestOfWhatThePortalSaysOnlyWhatTheCallerWantsIsRepeated(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{Words: func(said string) string { return strings.ReplaceAll(said, "Zoe", "[redacted]") }}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":{"message":"Access denied\nfor Zoe"}}`))
	})
	_, err := c.History(t.Context(), 7, Query{Count: 1})
	if want := `history of folder 7: 403 Forbidden: "Access denied for [redacted]"`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestARefusalSaysWhoRefusedAndWhatToDo(t *testing.T) {
	t.Parallel()
	const app = `{"error":{"message":"Access denied","type":"System.Security.SecurityException","stack":"   at X","hresult":-2146233078},"status":1,"statusCode":403}`
	const problem = `{"type":"https://tools.ietf.org/html/rfc9110","title":"Forbidden","status":403,"traceId":"00-1"}`
	const validation = `{"response":{"type":"https://x","title":"One or more validation errors occurred.","status":400,"errors":{"count":["The field Count must be between 1 and 100."]},"traceId":"00"},"count":1,"links":[],"status":0,"statusCode":200}`
	for name, test := range map[string]struct {
		status    int
		mime      string
		body      string
		kinds     []string
		poison    bool
		temporary bool
		text      string
	}{
		"credentials":       {401, "", "", []string{"unauthorized"}, false, false, "folder 7: 401 Unauthorized: the portal refuses the credentials: they are wrong, expired or disabled; replace them"},
		"credentials, told": {401, "application/json", `{"error":{"message":"Unauthorized","type":null,"stack":null,"hresult":0},"status":1,"statusCode":401}`, []string{"unauthorized"}, false, false, `folder 7: 401 Unauthorized: "Unauthorized": the portal refuses the credentials: they are wrong, expired or disabled; replace them`},
		"scope":             {403, "", "", []string{"forbidden", "scope"}, false, false, "folder 7: 403 Forbidden: the key or token lacks the scope for this call: it needs files:read, and rooms:read to list rooms"},
		"folder":            {403, "application/json", app, []string{"forbidden"}, true, false, `folder 7: 403 Forbidden: "Access denied"`},
		"folder gone":       {404, "application/json", `{"error":{"message":"La carpeta","type":"x"},"status":1}`, []string{"not found"}, false, false, `folder 7: 404 Not Found: "La carpeta"`},
		"tenant busy":       {403, "application/problem+json", problem, []string{"portal"}, false, false, `folder 7: 403 Forbidden: "Forbidden": the portal as a whole is unavailable`},
		"tenant gone":       {404, "application/problem+json", `{"status":404}`, []string{"portal"}, false, false, `folder 7: 404 Not Found: the portal as a whole is unavailable`},
		"no such route":     {404, "", "", []string{"portal"}, false, false, "folder 7: 404 Not Found: the server has no such address: is this a DocSpace portal, 2.6 or newer?"},
		"another server":    {404, "text/html", "<html>nginx</html>", []string{"portal"}, false, false, "folder 7: 404 Not Found: answered by a proxy in front of the portal?"},
		"IP rule":           {403, "text/plain", "Your IP is not\nallowed", []string{"portal"}, false, false, `folder 7: 403 Forbidden: "Your IP is not allowed": the portal as a whole is unavailable`},
		"IP rule as JSON":   {403, "application/json", `"Your IP is not allowed"`, []string{"portal"}, false, false, `folder 7: 403 Forbidden: "Your IP is not allowed": the portal as a whole is unavailable`},
		"not paid":          {402, "application/problem+json", `{"status":402}`, []string{"payment"}, false, false, "folder 7: 402 Payment Required: the portal is not paid for"},
		"rate":              {429, "", "", []string{"rate"}, false, true, "folder 7: 429 Too Many Requests"},
		"validation":        {400, "application/problem+json", validation, nil, false, false, `folder 7: 400 Bad Request: "count: The field Count must be between 1 and 100."`},
		"poison 400":        {400, "application/json", app, nil, true, false, `folder 7: 400 Bad Request: "Access denied"`},
		"poison 415":        {415, "application/json", app, nil, true, false, `folder 7: 415 Unsupported Media Type: "Access denied"`},
		"poison 500":        {500, "application/json", app, nil, true, true, `folder 7: 500 Internal Server Error: "Access denied"`},
		"proxy":             {502, "text/html", "<html>bad gateway</html>", nil, false, true, "folder 7: 502 Bad Gateway: answered by a proxy in front of the portal?"},
		"restarting":        {503, "", "", nil, false, true, "folder 7: 503 Service Unavailable"},
		"nowhere":           {302, "", "", []string{"portal"}, false, false, "folder 7: 302 Found: the portal as a whole is unavailable"},
		"error as text":     {500, "application/json", `{"error":"boom"}`, nil, false, true, "folder 7: 500 Internal Server Error: answered by a proxy in front of the portal?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.mime)
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			_, err := c.Folder(t.Context(), 7)
			var status *StatusError
			if !errors.As(err, &status) {
				t.Fatalf("%v is no StatusError", err)
			}
			if err.Error() != test.text {
				t.Errorf("says  %s\nwant  %s", err, test.text)
			}
			if status.Poison() != test.poison || status.Temporary() != test.temporary {
				t.Errorf("poison %v, temporary %v", status.Poison(), status.Temporary())
			}
			for kind, sentinel := range sentinels {
				if want := strings.Contains(" "+strings.Join(test.kinds, " ")+" ", " "+kind+" "); errors.Is(err, sentinel) != want {
					t.Errorf("is %s: %v, want %v", kind, !want, want)
				}
			}
		})
	}
}

func TestErrorsNeverRepeatCredentials(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answerJSON(w, 400, fmt.Sprintf(`{"error":{"message":%q}}`, r.Header.Get("Authorization")+string(body)))
	}))
	t.Cleanup(echo.Close)
	for name, creds := range map[string]Credentials{
		"key":      {APIKey: Fixed("hunter2")},
		"token":    {Token: Fixed("hunter2")},
		"password": {Username: Fixed("mike"), Password: Fixed("hunter2")},
		"broken":   {APIKey: Fixed("hunter2\r\nX: y")},
	} {
		c := client(t, echo.URL, creds, Options{MaxElapsed: -1})
		_, err := c.History(t.Context(), 1, Query{Count: 1})
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		for _, v := range []any{err, creds, c, &creds} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") {
					t.Errorf("%s: %s of %T tells the secret: %s", name, verb, v, text)
				}
			}
		}
	}
}

func TestForeignTextIsFitForALog(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\r\n b\t\x1b[31mc\x00":        "a b [31mc",
		"a\xffb":                        "ab",
		" ":                             "",
		strings.Repeat("é", 300):        strings.Repeat("é", 150) + "…",
		"x" + strings.Repeat("€", 1000): "x" + strings.Repeat("€", 99) + "…",
	} {
		got := line(text)
		if diff := cmp.Diff(want, got); diff != "" || !utf8.ValidString(got) {
			t.Error(diff)
		}
	}
}
