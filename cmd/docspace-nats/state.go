package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// A stateServer shows the program's state over HTTP: /livez, /readyz and
// /metrics. It is there before the connector is, has no secrets to show and
// takes no orders.
type stateServer struct {
	http      *http.Server // nil when nothing is served
	metrics   *prometheus.Registry
	connector atomic.Pointer[connector]
}

// serveState listens at once, so that a taken address is an error and not a
// line in the log; an empty address serves nothing.
func serveState(addr string, log zerolog.Logger) (*stateServer, error) {
	s := &stateServer{metrics: prometheus.NewRegistry()}
	if addr == "" {
		return s, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &usageError{fmt.Errorf("HTTP_ADDR: cannot listen on %s: %w; choose another address, or an empty one for none", addr, err)}
	}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("state server")
		}
	}()
	log.Info().Str("addr", listener.Addr().String()).Msg("serving /livez, /readyz and /metrics")
	return s, nil
}

// show makes the server tell about a connector.
func (s *stateServer) show(c *connector) {
	s.metrics.MustRegister(c.metrics...)
	s.connector.Store(c)
}

func (s *stateServer) close() {
	if s.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.http.Shutdown(ctx)
}

func (s *stateServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, s.ready())
		s.tell(w)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	return mux
}

// ready tells why the program is not doing its work, nil when it is.
func (s *stateServer) ready() error {
	if c := s.connector.Load(); c != nil {
		return c.ready()
	}
	return errors.New("starting: waiting for NATS and the stream")
}

// ready tells why the connector is not doing its work, nil when it is.
func (c *connector) ready() error {
	switch {
	case c.local != nil && c.local.Trouble() != nil:
		return c.local.Trouble()
	case !c.nc.IsConnected():
		return errors.New("not connected to NATS")
	}
	return c.schedule.Ready()
}

// mostTold is how many folders one answer tells about. More are in the same
// trouble as a rule, and who probes often need not read them all.
const mostTold = 50

// tell adds a line for each folder that needs attention. The program does its
// work all the same: the reason lies with the portal or with an operator.
func (s *stateServer) tell(w io.Writer) {
	c := s.connector.Load()
	if c == nil {
		return
	}
	told, found := 0, c.found()
	for _, f := range c.schedule.Standings() {
		line := attention(pollsOf(f, found[f.Folder]))
		if line == "" {
			continue
		}
		if told++; told <= mostTold {
			fmt.Fprintln(w, line)
		}
	}
	if told > mostTold {
		fmt.Fprintf(w, "and %d more folders\n", told-mostTold)
	}
}

// attention says why a folder needs it, "" when it does not.
func attention(f folderPolls) string {
	switch {
	case f.Error != "":
		return fmt.Sprintf("folder %d cannot be polled: %s", f.Folder, f.Error)
	case f.Reason != "":
		return fmt.Sprintf("folder %d is %s: %s", f.Folder, f.State, f.Reason)
	case f.Found != "":
		return fmt.Sprintf("folder %d: the stream does not hold what the portal shows: %s; docspace-nats verify --folder %[1]d tells each row", f.Folder, f.Found)
	case f.Gaps > 0:
		return fmt.Sprintf("folder %d: %d rows the portal does not show were reported as gaps since this process started", f.Folder, f.Gaps)
	}
	return ""
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}
