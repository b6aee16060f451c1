package docspacetest

import (
	"net/http"
	"time"
)

// An Outcome is what becomes of a request. The zero Outcome is an answer as if
// nothing were wrong.
type Outcome struct {
	instead func() *reply
	stall   time.Duration
	trouble trouble
	quirks  quirks
}

// RateLimited answers 429 with that Retry-After, or none for "".
func RateLimited(retryAfter string) Outcome {
	return replace(func() *reply {
		rp := empty(http.StatusTooManyRequests)
		if retryAfter != "" {
			rp.header = http.Header{"Retry-After": {retryAfter}}
		}
		return rp
	})
}

// ServerError answers 500 with the server's error object.
func ServerError() Outcome {
	return Failure(http.StatusInternalServerError, "System.Exception", "Internal server error")
}

// Failure answers with the server's error object and any status.
func Failure(status int, exception, message string) Outcome {
	return replace(func() *reply { return failure(status, exception, message) })
}

// AccessDenied answers 403 as for a folder the caller may not read.
func AccessDenied() Outcome {
	return Failure(http.StatusForbidden, "System.Security.SecurityException", "Access denied")
}

// NotFound answers 404 as for a folder that is not there.
func NotFound() Outcome {
	return Failure(http.StatusNotFound, "ASC.Common.Web.ItemNotFoundException", "The required folder was not found")
}

// Unauthorized answers 401 as for credentials that ended.
func Unauthorized() Outcome { return Empty(http.StatusUnauthorized) }

// MissingScope answers 403 as for a key that lacks a permission.
func MissingScope() Outcome { return Empty(http.StatusForbidden) }

// Empty answers with a status and nothing else.
func Empty(status int) Outcome { return replace(func() *reply { return empty(status) }) }

// BadGateway answers 502 with the page of a proxy.
func BadGateway() Outcome { return Page(http.StatusBadGateway) }

// Page answers with a status and a page for people, as proxies do. With status
// 200 it is a maintenance page.
func Page(status int) Outcome {
	return replace(func() *reply {
		text := http.StatusText(status)
		return &reply{status: status, kind: contentHTML, body: []byte("<html>\r\n<head><title>" + text + "</title></head>\r\n<body>\r\n<center><h1>" + text + "</h1></center>\r\n</body>\r\n</html>\r\n")}
	})
}

// Restoring answers 403 as a portal that is being restored from a backup.
func Restoring() Outcome {
	return replace(func() *reply { return refusedByTenant(http.StatusForbidden) })
}

// Suspended answers 404 as a portal that is suspended or unknown.
func Suspended() Outcome {
	return replace(func() *reply { return refusedByTenant(http.StatusNotFound) })
}

// Unpaid answers 402 as a portal whose subscription ended.
func Unpaid() Outcome {
	return replace(func() *reply { return refusedByTenant(http.StatusPaymentRequired) })
}

// Restricted answers 403 as to an address the portal does not admit.
func Restricted() Outcome {
	return replace(func() *reply {
		return &reply{status: http.StatusForbidden, kind: contentText, body: []byte("Access from your current IP address is restricted")}
	})
}

// Slow answers well, in pieces that take d altogether.
func Slow(d time.Duration) Outcome {
	const pieces = 4
	return Outcome{trouble: trouble{pause: d / pieces, pieces: pieces}}
}

// Stall answers well, but nothing at all until d has passed: the request is in
// hand as long.
func Stall(d time.Duration) Outcome { return Outcome{stall: d} }

// Cut answers well and drops the connection after so many bytes of the body.
func Cut(after int) Outcome { return Outcome{trouble: trouble{cut: true, after: after}} }

// Refuse drops the connection without an answer.
func Refuse() Outcome { return Outcome{trouble: trouble{refuse: true}} }

func replace(with func() *reply) Outcome { return Outcome{instead: with} }
