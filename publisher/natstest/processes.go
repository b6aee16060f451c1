package natstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A ProcessCluster is a JetStream cluster of servers in processes of their own.
// Clients are told no other addresses than those they have, so that they stay
// on their links.
type ProcessCluster struct {
	Servers []*ServerProcess
}

// Processes starts a server for each directory, makes one JetStream cluster of
// them, and waits until it can keep a stream on all of them. args are more
// command line arguments.
func Processes(t testing.TB, dirs []string, args ...string) *ProcessCluster {
	t.Helper()
	routes := freeAddresses(t, len(dirs))
	c := new(ProcessCluster)
	for i, dir := range dirs {
		p := newProcess(t, dir, append([]string{
			"--name", fmt.Sprintf("n%d", i+1), "--cluster_name", "test", "--no_advertise",
			"--cluster", "nats://" + routes[i].String(), "--routes", join(routes),
		}, args...)...)
		p.name = fmt.Sprintf("n%d", i+1)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		c.Servers = append(c.Servers, p)
	}
	c.waitReady(t)
	return c
}

// URL lists the addresses of all servers.
func (c *ProcessCluster) URL() string {
	return addresses(c.Servers)
}

// Conn is Server.Conn, to any of the servers.
func (c *ProcessCluster) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, c.URL(), options...)
}

// waitReady polls by trying, since only the servers know when they all know one
// another.
func (c *ProcessCluster) waitReady(t testing.TB) {
	t.Helper()
	js, err := jetstream.New(c.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	err = poll(ctx, func(ctx context.Context) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "READY", Replicas: len(c.Servers), Storage: jetstream.MemoryStorage})
		return err
	})
	if err == nil {
		err = poll(ctx, func(ctx context.Context) error {
			if err := js.DeleteStream(ctx, "READY"); !errors.Is(err, jetstream.ErrStreamNotFound) {
				return err
			}
			return nil // an earlier try deleted it
		})
	}
	if err != nil {
		t.Fatalf("the NATS cluster keeps no stream after %s: %v", Patience, err)
	}
}

// Leader returns the server that leads a stream, once there is one.
func (c *ProcessCluster) Leader(ctx context.Context, nc *nats.Conn, stream string) (leader *ServerProcess, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	err = poll(ctx, func(ctx context.Context) error {
		info, err := state(ctx, nc, stream)
		if err != nil {
			return err
		}
		for _, s := range c.Servers {
			if s.name == info.Cluster.Leader {
				leader = s
				return nil
			}
		}
		return fmt.Errorf("stream %s: no leader", stream)
	})
	return leader, err
}

// WaitCurrent waits until every server has all of a stream.
func (c *ProcessCluster) WaitCurrent(ctx context.Context, nc *nats.Conn, stream string) error {
	return poll(ctx, func(ctx context.Context) error {
		info, err := state(ctx, nc, stream)
		if err != nil {
			return err
		}
		if info.Cluster.Leader == "" || len(info.Cluster.Replicas) != len(c.Servers)-1 {
			return fmt.Errorf("stream %s: leader %q and %d replicas", stream, info.Cluster.Leader, len(info.Cluster.Replicas))
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline || r.Lag > 0 {
				return fmt.Errorf("stream %s: replica %s lags by %d (current %t, offline %t)", stream, r.Name, r.Lag, r.Current, r.Offline)
			}
		}
		return nil
	})
}

func state(ctx context.Context, nc *nats.Conn, stream string) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	if info := s.CachedInfo(); info.Cluster != nil {
		return info, nil
	}
	return nil, fmt.Errorf("stream %s: is not in a cluster", stream)
}

// patience is how long one question to a cluster waits for its answer: without
// a leader there is none.
const patience = 2 * time.Second

// poll tries until it works.
func poll(ctx context.Context, try func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, patience)
		err := try(once)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}
