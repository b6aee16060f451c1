//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyReopen asks for the signal that logrotate and others send after they
// renamed a file.
func notifyReopen(to chan<- os.Signal) { signal.Notify(to, syscall.SIGHUP) }

func stopReopen(to chan<- os.Signal) { signal.Stop(to) }
