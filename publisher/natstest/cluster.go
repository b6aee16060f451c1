package natstest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A ServerCluster is a JetStream cluster in this process.
type ServerCluster struct {
	Servers []*Server
}

// Cluster starts n servers that form one JetStream cluster and waits until it
// has a leader.
func Cluster(t testing.TB, n int, options ...Option) *ServerCluster {
	t.Helper()
	routes := freeAddresses(t, n)
	c := new(ServerCluster)
	for i := range n {
		c.Servers = append(c.Servers, Run(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i+1)
			o.Cluster.Name = "test"
			o.Cluster.Host, o.Cluster.Port = routes[i].IP.String(), routes[i].Port
			o.Routes = server.RoutesFromStr(join(routes))
			for _, option := range options {
				option(o)
			}
		}))
	}
	c.waitLeader(t)
	return c
}

// HubAndLeaf starts two servers with JetStream in the domains "hub" and "leaf",
// the second a leaf node of the first, and waits until they are connected.
func HubAndLeaf(t testing.TB) (hub, leaf *Server) {
	t.Helper()
	address := freeAddresses(t, 1)
	hub = Run(t, func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "hub", "hub"
		o.LeafNode.Host, o.LeafNode.Port = address[0].IP.String(), address[0].Port
	})
	leaf = Run(t, func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "leaf", "leaf"
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: server.RoutesFromStr(join(address))}}
	})
	js, err := jetstream.NewWithDomain(hub.Conn(t), "leaf")
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); <-tick.C {
		// Connected is not enough: the hub has to hear what the leaf answers to.
		if account, err := js.AccountInfo(t.Context()); err == nil && account.Domain == "leaf" {
			return hub, leaf
		}
	}
	t.Fatalf("the leaf node's JetStream does not answer through the hub after %s", Patience)
	return nil, nil
}

// URL lists the addresses of all servers.
func (c *ServerCluster) URL() string {
	return addresses(c.Servers)
}

// addresses are those of all servers, as NATS_URL takes them.
func addresses[S interface{ URL() string }](servers []S) string {
	urls := make([]string, len(servers))
	for i, s := range servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Conn is Server.Conn, to any of the servers.
func (c *ServerCluster) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, c.URL(), options...)
}

// StreamLeader returns the server that leads a stream of the default account,
// nil while there is none.
func (c *ServerCluster) StreamLeader(stream string) *Server {
	for _, s := range c.Servers {
		if srv := s.Embedded(); srv.Running() && srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return s
		}
	}
	return nil
}

// waitLeader polls until all servers are current members of the cluster, since
// a stream with replicas cannot be created before.
func (c *ServerCluster) waitLeader(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); <-tick.C {
		for _, s := range c.Servers {
			if srv := s.Embedded(); srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == len(c.Servers) {
				return
			}
		}
	}
	t.Fatalf("the NATS cluster has no leader after %s", Patience)
}

// freeAddresses reserves n loopback ports and gives them back just before use:
// servers of a cluster must know each other's port before they start.
func freeAddresses(t testing.TB, n int) []*net.TCPAddr {
	t.Helper()
	addresses := make([]*net.TCPAddr, n)
	for i := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses[i] = l.Addr().(*net.TCPAddr)
	}
	return addresses
}

func join(addresses []*net.TCPAddr) string {
	urls := make([]string, len(addresses))
	for i, a := range addresses {
		urls[i] = (&url.URL{Scheme: "nats", Host: a.String()}).String()
	}
	return strings.Join(urls, ",")
}
