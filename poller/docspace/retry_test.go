package docspace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A wire answers in place of a network, so that a bubble can wait on it.
type wire func(r *http.Request) *http.Response

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := w(r)
	if resp == nil {
		return nil, errors.New("connection reset by peer")
	}
	resp.Request = r
	return resp, nil
}

func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewBufferString(body)), ContentLength: int64(len(body))}
}

// asks runs one call against answers given in turn, the last for ever, and
// returns when each was asked for.
func asks(t *testing.T, opts Options, answers ...*http.Response) (at []time.Duration, err error) {
	t.Helper()
	start := time.Now()
	opts.Transport = wire(func(*http.Request) *http.Response {
		at = append(at, time.Since(start))
		resp := answers[min(len(at), len(answers))-1]
		if resp == nil {
			return nil
		}
		again := *resp
		body, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
		again.Body = io.NopCloser(bytes.NewReader(body))
		return &again
	})
	c, err := New("https://docs.example.com", Credentials{APIKey: Fixed(testKey)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.History(t.Context(), 42, Query{Count: 1})
	return at, err
}

func TestThePauseThePortalAsksForIsKept(t *testing.T) {
	t.Parallel()
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // a bubble begins here
	date := func(after time.Duration) string { return now.Add(after).Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		header   []string
		min, max time.Duration
	}{
		// The portal cuts seconds off, so one is added, and up to one of jitter.
		"seconds":                  {[]string{"Retry-After", "7"}, 8 * time.Second, 9 * time.Second},
		"one":                      {[]string{"Retry-After", "1"}, 2 * time.Second, 3 * time.Second},
		"spaces":                   {[]string{"Retry-After", "  5 "}, 6 * time.Second, 7 * time.Second},
		"zero":                     {[]string{"Retry-After", "0"}, time.Second, 2 * time.Second},
		"absent":                   {nil, time.Second, 2 * time.Second},
		"nonsense":                 {[]string{"Retry-After", "soon"}, time.Second, 2 * time.Second},
		"negative":                 {[]string{"Retry-After", "-5"}, time.Second, 2 * time.Second},
		"date":                     {[]string{"Retry-After", date(10 * time.Second)}, 11 * time.Second, 12 * time.Second},
		"date by another clock":    {[]string{"Retry-After", date(time.Hour), "Date", date(time.Hour - 10*time.Second)}, 11 * time.Second, 12 * time.Second},
		"date that has gone by":    {[]string{"Retry-After", date(-time.Hour)}, time.Second, 2 * time.Second},
		"longest that is worth it": {[]string{"Retry-After", "55"}, 56 * time.Second, 57 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at, err := asks(t, Options{}, respond(429, "", test.header...), respond(200, envelope(0)))
				if err != nil || len(at) != 2 || at[0] != 0 || at[1] < test.min || at[1] > test.max {
					t.Errorf("asked at %v, want the second at %s to %s: %v", at, test.min, test.max, err)
				}
			})
		})
	}
}

func TestAPauseLongerThanACallsPatienceIsHandedToTheCaller(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]StatusError{
		"120":                           {RetryAfter: 2 * time.Minute},
		"86400":                         {RetryAfter: 5 * time.Minute, Capped: true},
		"1000000000000":                 {RetryAfter: maxRetryAfter, Capped: true},
		"99999999999999999999":          {RetryAfter: 5 * time.Minute, Capped: true},
		"Fri, 31 Dec 2100 23:59:59 GMT": {RetryAfter: 5 * time.Minute, Capped: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			at, err := asks(t, Options{}, respond(429, "", "Retry-After", text))
			var status *StatusError
			if !errors.As(err, &status) || len(at) != 1 || status.RetryAfter != want.RetryAfter || status.Capped != want.Capped {
				t.Errorf("%s: asked at %v: %+v", text, at, err)
			}
		})
	}
}

func TestACallIsPatientForAMinute(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]*http.Response{"proxy": respond(502, "<html>"), "network": nil, "cut": respond(200, `{"resp`)} {
		synctest.Test(t, func(t *testing.T) {
			at, err := asks(t, Options{}, answer)
			if err == nil || len(at) < 5 || len(at) > 12 {
				t.Fatalf("%s: asked at %v: %v", name, at, err)
			}
			if last := at[len(at)-1]; last < 25*time.Second || last > time.Minute {
				t.Errorf("%s: last asked at %s", name, last)
			}
			if at[1] < 250*time.Millisecond {
				t.Errorf("%s: asked again after %s", name, at[1])
			}
		})
	}
}

func TestACallGoesOnWhenThePortalIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at, err := asks(t, Options{}, nil, respond(503, ""), respond(200, envelope(0)))
		if err != nil || len(at) != 3 {
			t.Errorf("asked at %v: %v", at, err)
		}
	})
}

func TestWhatWillNotChangeIsAskedOnce(t *testing.T) {
	t.Parallel()
	app := `{"error":{"message":"x"}}`
	for status, body := range map[int]string{400: app, 401: "", 402: "", 403: app, 404: app, 415: app, 500: app, 200: "<html>", 201: `{}`} {
		synctest.Test(t, func(t *testing.T) {
			if at, err := asks(t, Options{}, respond(status, body)); err == nil || len(at) != 1 {
				t.Errorf("%d: asked at %v: %v", status, at, err)
			}
		})
	}
}

func TestNegativePatienceMeansOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if at, err := asks(t, Options{MaxElapsed: -1}, respond(503, "")); err == nil || len(at) != 1 {
			t.Errorf("asked at %v: %v", at, err)
		}
	})
}

func TestNothingWaitsLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := Options{Transport: wire(func(*http.Request) *http.Response { return respond(429, "", "Retry-After", "30") })}
		c, err := New("https://docs.example.com", Credentials{APIKey: Fixed(testKey)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		start := time.Now()
		_, err = c.History(ctx, 42, Query{Count: 1})
		if !errors.Is(err, context.Canceled) || err.Error() != "history of folder 42: context canceled" || time.Since(start) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		// The portal still wants its pause; a caller without time learns so.
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := c.Folder(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestARefusalSlowsAllCallsOfAClientUntilItRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, asked := time.Now(), atomic.Int32{}
		opts := Options{RequestsPerMinute: 600, Transport: wire(func(r *http.Request) *http.Response {
			if asked.Add(1) == 1 {
				return respond(429, "", "Retry-After", "10")
			}
			if time.Since(start) < 10*time.Second {
				t.Errorf("%s asked after %s", r.URL.Path, time.Since(start))
			}
			return respond(200, envelope(0))
		})}
		c, err := New("https://docs.example.com", Credentials{APIKey: Fixed(testKey)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for folder := range 5 {
			group.Go(func() {
				time.Sleep(time.Duration(folder) * time.Second)
				if _, err := c.History(t.Context(), folder+1, Query{Count: 1}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got := c.pace.limiter.Limit(); got != c.pace.budget/2 {
			t.Errorf("%v requests a second, want half of %v", got, c.pace.budget)
		}
		for range 10 {
			time.Sleep(recoverEvery)
			if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.pace.limiter.Limit(); got != c.pace.budget {
			t.Errorf("%v requests a second, want all %v back", got, c.pace.budget)
		}
	})
}
