//go:build unix

package natstest

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/nats-io/nats.go/jetstream"
)

// OwnCopy reads what one server has stored of a stream, oldest first: through a
// consumer that lives on this server, while all others are paused, so that what
// is read can only come from there. The stream should be current everywhere,
// and nobody else be at work.
func (c *ProcessCluster) OwnCopy(ctx context.Context, of *ServerProcess, stream, subjects string, read func(jetstream.Msg) error) error {
	consumer, done, err := c.consumerOn(ctx, of, stream, subjects)
	if err != nil {
		return fmt.Errorf("copy of stream %s on server %s: %w", stream, of.name, err)
	}
	defer done()
	for _, other := range c.Servers {
		if other != of {
			other.Pause()
			defer other.Resume()
		}
	}
	if err := Drain(ctx, consumer, read); err != nil {
		return fmt.Errorf("copy of stream %s on server %s: %w", stream, of.name, err)
	}
	return nil
}

// Pause stops the process where it is, until Resume.
func (p *ServerProcess) Pause() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (p *ServerProcess) Resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// consumerOn creates consumers with a single copy until chance puts one on the
// server, over a connection to it. Who was paused a moment ago may have led the
// cluster, which answers nothing until it has elected another.
func (c *ProcessCluster) consumerOn(ctx context.Context, of *ServerProcess, stream, subjects string) (consumer jetstream.Consumer, done func(), err error) {
	nc := of.Conn(of.t)
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	err = poll(ctx, func(ctx context.Context) error {
		var err error
		consumer, err = js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			FilterSubject: subjects, AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: Patience,
		})
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		if info.Cluster != nil && info.Cluster.Leader == of.name {
			return nil
		}
		_ = js.DeleteConsumer(ctx, stream, info.Name)
		return errors.New("no consumer can be placed there")
	})
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return consumer, nc.Close, nil
}
