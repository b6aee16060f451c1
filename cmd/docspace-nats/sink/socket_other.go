//go:build !linux

package sink

import "net"

// unsent is unknown here.
func unsent(net.Conn) int { return 0 }

// established is not known to be false.
func established(net.Conn) bool { return true }
