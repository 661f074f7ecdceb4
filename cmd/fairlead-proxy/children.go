// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// maxOutput bounds what is kept of what a process writes.
const maxOutput = 64 << 10

// children starts processes and waits for them. As the first process of the container it also gets those whose own
// parent died, so all are waited for in one place.
type children struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func newChildren() *children {
	c := &children{waiting: map[int]chan syscall.WaitStatus{}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		for range signals {
			c.reap()
		}
	}()
	return c
}

func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if done := c.waiting[pid]; done != nil {
			done <- status
			delete(c.waiting, pid)
		}
	}
}

// start runs a program that writes to the two files. The channel gets its status when it has ended.
func (c *children) start(args []string, stdout, stderr *os.File) (int, <-chan syscall.WaitStatus, error) {
	// Nobody may reap it before it is known here.
	c.mu.Lock()
	defer c.mu.Unlock()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = null.Close() }()
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
	})
	if err != nil {
		return 0, nil, &os.PathError{Op: "start", Path: args[0], Err: err}
	}
	done := make(chan syscall.WaitStatus, 1)
	c.waiting[pid] = done
	return pid, done, nil
}

// output runs a program to its end and gives the begin of what it writes. ctx kills it.
func (c *children) output(ctx context.Context, args ...string) (string, syscall.WaitStatus, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = read.Close() }()
	pid, done, err := c.start(args, write, write)
	_ = write.Close()
	if err != nil {
		return "", 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	defer stop()
	text, err := io.ReadAll(io.LimitReader(read, maxOutput))
	if err == nil {
		_, err = io.Copy(io.Discard, read)
	}
	status := <-done
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(text), status, err
}
