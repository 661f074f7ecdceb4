// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proxy runs fairlead-proxy with a real HAProxy for tests, as they run in HAProxy's container. Linux only.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/haproxy"
	"github.com/fairlead/fairlead/test/operator"
)

const (
	killTimeout = 10 * time.Second
	killPoll    = 5 * time.Millisecond
	// maxLog is how much of the log a test that failed tells.
	maxLog = 4096
)

// Container is what runs in HAProxy's container.
type Container struct {
	version haproxy.Version
	dir     string
	starts  int
	daemon  *daemon.Daemon
}

// spawner lives as long as the tests, so no supervisor outlives them.
var spawner = sync.OnceValue(daemon.NewSpawner)

// Start runs fairlead-proxy on a folder, which is short enough for Unix sockets. The test's end kills it and all that it
// started; what they wrote is in the test's log if it failed.
func Start(t testing.TB, v haproxy.Version, dir string) *Container {
	t.Helper()
	c := &Container{version: v, dir: dir}
	t.Cleanup(func() {
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log := c.Log()
			t.Logf("the end of what HAProxy %s wrote:\n%s", v, log[max(0, len(log)-maxLog):])
		}
	})
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Restart kills what runs and starts it again, as the kubelet does.
func (c *Container) Restart() error {
	if err := c.Kill(); err != nil {
		return err
	}
	program, err := build()
	if err != nil {
		return err
	}
	c.starts++
	c.daemon = daemon.New("fairlead-proxy", filepath.Join(c.dir, "log"), "",
		program, "run", "--dir="+c.dir, "--haproxy="+c.version.Program, "--delay=0s")
	return c.daemon.Start(spawner().Start)
}

// Kill ends all processes at once, and returns when they are gone.
func (c *Container) Kill() error {
	if c.daemon == nil || c.daemon.PID == 0 {
		return nil
	}
	pid := c.daemon.PID
	for deadline := time.Now().Add(killTimeout); ; time.Sleep(killPoll) {
		err := syscall.Kill(-pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return c.daemon.Kill()
		}
		if err != nil || time.Now().After(deadline) {
			return fmt.Errorf("processes of the group %d are still there: %w", pid, err)
		}
	}
}

// Log is what they have written so far.
func (c *Container) Log() string {
	data, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// build compiles the program once per process.
var build = sync.OnceValues(func() (string, error) {
	root, err := operator.Root()
	if err != nil {
		return "", err
	}
	// Other processes may run the one that is there.
	program := filepath.Join(root, "bin", "fairlead-proxy")
	own := fmt.Sprintf("%s.%d", program, os.Getpid())
	if err := operator.BuildPackage(context.Background(), root, own, "./cmd/fairlead-proxy"); err != nil {
		return "", err
	}
	return program, os.Rename(own, program)
})
