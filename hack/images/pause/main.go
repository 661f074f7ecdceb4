// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause does nothing until it is told to end. It holds the namespaces of a pod, and reaps
// the processes that the pod's containers leave behind where they share its process namespace.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	reap()
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap takes leave of every child that ended: signals merge, so one may stand for many.
func reap() {
	if os.Getpid() != 1 {
		return
	}
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
