package docspacetest

import (
	"net/http"
	"net/url"
)

const (
	contentJSON    = "application/json; charset=utf-8"
	contentProblem = "application/problem+json; charset=utf-8"
	contentHTML    = "text/html; charset=utf-8"
	contentText    = "text/plain; charset=utf-8"
)

// empty is an answer without a body, as the server's own machinery gives it.
func empty(status int) *reply { return &reply{status: status} }

// failure is the answer to an exception in the application.
func failure(status int, exception, message string) *reply {
	w := writer{b: []byte{'{'}}
	w.object("error")
	w.str("message", message)
	w.str("type", exception)
	w.str("stack", "   at "+exception+"\n   at ASC.Files.Api.FoldersController")
	w.num("hresult", -2146233088)
	w.endObject()
	w.num("status", 1)
	w.num("statusCode", int64(status))
	w.endObject()
	return &reply{status: status, kind: contentJSON, body: w.b}
}

// refusedByTenant is the answer of a portal that is not in service.
func refusedByTenant(status int) *reply {
	w := writer{b: []byte{'{'}}
	w.str("type", "https://tools.ietf.org/html/rfc9110#section-15.5")
	w.str("title", http.StatusText(status))
	w.num("status", int64(status))
	w.str("traceId", traceID)
	w.endObject()
	return &reply{status: status, kind: contentProblem, body: w.b}
}

const traceID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

// invalid is the answer to parameters that are not accepted.
func invalid(c call, problems []problem) *reply {
	w := writer{b: []byte{'{'}}
	w.object("response")
	w.str("type", "https://tools.ietf.org/html/rfc9110#section-15.5.1")
	w.str("title", "One or more validation errors occurred.")
	w.num("status", http.StatusBadRequest)
	w.object("errors")
	for _, x := range problems {
		w.array(x.field)
		w.comma()
		w.value(x.message)
		w.endArray()
	}
	w.endObject()
	w.str("traceId", traceID)
	w.endObject()
	w.num("count", 1)
	w.links(c)
	status, code := 0, http.StatusOK
	if c.profile.has(badRequestTold) {
		status, code = 1, http.StatusBadRequest
	}
	w.num("status", int64(status))
	w.num("statusCode", int64(code))
	w.endObject()
	return &reply{status: http.StatusBadRequest, kind: contentProblem, body: w.b}
}

// object answers with one object, which fill writes.
func (p *Portal) object(c call, fill func(*writer)) *reply {
	p.mu.RLock()
	defer p.mu.RUnlock()
	w := writer{b: []byte(`{"response":{`)}
	fill(&w)
	w.endObject()
	w.num("count", 1)
	w.tail(c)
	return &reply{status: http.StatusOK, kind: contentJSON, body: w.b}
}

// tail ends the envelope of a success.
func (w *writer) tail(c call) {
	w.links(c)
	if c.quirks.extraFields {
		w.str("traceId", traceID)
	}
	w.num("status", 0)
	w.num("statusCode", http.StatusOK)
	w.endObject()
}

// links writes the address that was asked, decoded for display.
func (w *writer) links(c call) {
	w.array("links")
	w.item()
	w.key("href")
	w.b = append(w.b, '"')
	w.raw(c.base)
	w.b = appendEscaped(w.b, c.http.URL.Path)
	if query := c.http.URL.RawQuery; query != "" {
		w.b = append(w.b, '?')
		if shown, err := url.PathUnescape(query); err == nil {
			query = shown
		}
		w.b = appendEscaped(w.b, query)
	}
	w.b = append(w.b, '"')
	w.str("action", c.http.Method)
	w.endObject()
	w.endArray()
}
