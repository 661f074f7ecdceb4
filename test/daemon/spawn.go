// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// Spawner starts children that die with this process. The kernel kills them when the *thread* that
// forked them ends, so all are forked by one thread, which lives until Close.
type Spawner struct {
	jobs chan func()
	quit chan struct{}
	stop func()
}

// NewSpawner starts the thread.
func NewSpawner() *Spawner {
	s := &Spawner{jobs: make(chan func()), quit: make(chan struct{})}
	s.stop = sync.OnceFunc(func() { close(s.quit) })
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.quit:
				return
			}
		}
	}()
	return s
}

// Close ends the thread, and with it the children.
func (s *Spawner) Close() { s.stop() }

// Start is for Daemon.Start.
func (s *Spawner) Start(cmd *exec.Cmd) error {
	// A group of its own keeps a Ctrl-C at the terminal from ending it before the tests are done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	select {
	case s.jobs <- func() { done <- cmd.Start() }:
		return <-done
	case <-s.quit:
		return errors.New("it was stopped")
	}
}

// Detached starts a command that outlives this process and the terminal. It is for Daemon.Start.
func Detached(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}
