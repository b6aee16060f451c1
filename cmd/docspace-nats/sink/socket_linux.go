package sink

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes of a connection the other side's system has not
// acknowledged, 0 when nobody can tell.
func unsent(conn net.Conn) int {
	n := 0
	control(conn, func(fd int) {
		if queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			n = queued
		}
	})
	return n
}

// established reports whether neither side has ended the connection, as far as
// the system knows, which is earlier than a goroutine that reads. It is true
// when nobody can tell.
func established(conn net.Conn) bool {
	open := true
	control(conn, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			open = info.State == unix.BPF_TCP_ESTABLISHED
		}
	})
	return open
}

func control(conn net.Conn, do func(fd int)) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if raw, ok := conn.(syscall.Conn); ok {
		if socket, err := raw.SyscallConn(); err == nil {
			_ = socket.Control(func(fd uintptr) { do(int(fd)) })
		}
	}
}
