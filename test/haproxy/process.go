// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/test/daemon"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	stopPoll     = 5 * time.Millisecond
)

// Process is a master of HAProxy with its workers.
type Process struct {
	// MasterSocket is the path of the master's socket.
	MasterSocket string

	daemon *daemon.Daemon
}

// spawner lives as long as the tests, so no HAProxy outlives them.
var spawner = sync.OnceValue(daemon.NewSpawner)

// Start runs HAProxy as a master and workers on a configuration, a file or a folder, and returns when a worker
// answers. args are more arguments of haproxy(1). The test's end kills all of its processes; what they wrote is in the
// test's log if it failed.
func (v Version) Start(t testing.TB, config string, args ...string) *Process {
	t.Helper()
	dir := v.Dir(t)
	socket := filepath.Join(dir, "master.sock")
	command := append([]string{v.Program, "-W", "-S", socket, "-f", config}, args...)
	p := &Process{MasterSocket: socket, daemon: daemon.New("HAProxy "+v.Name, filepath.Join(dir, "log"), "", command...)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("HAProxy %s wrote:\n%s", v, p.Log())
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := p.daemon.Start(spawner().Start); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if err := p.daemon.Await(ctx, p.serves); err != nil {
		t.Fatal(err)
	}
	return p
}

// PID is that of the master.
func (p *Process) PID() int { return p.daemon.PID }

// Alive reports whether the master runs.
func (p *Process) Alive() bool { return p.daemon.Alive() }

// Log is what master and workers have written so far.
func (p *Process) Log() string {
	data, err := os.ReadFile(p.daemon.Log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Signal sends a signal to the master.
func (p *Process) Signal(s syscall.Signal) error {
	if !p.Alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.daemon.PID, s)
}

// Kill ends master and workers at once, and returns when they are gone.
func (p *Process) Kill() error {
	pid := p.daemon.PID
	if pid == 0 {
		return nil
	}
	for deadline := time.Now().Add(stopTimeout); ; {
		members, err := group(pid)
		if err != nil {
			return err
		}
		if len(members) == 0 {
			return p.daemon.Kill()
		}
		// One of them at least is not reaped yet, so the group's number belongs to no other.
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill HAProxy: %w", err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of HAProxy are still there %s after SIGKILL", members, stopTimeout)
		}
		time.Sleep(stopPoll)
	}
}

// group is the processes of a process group that run. The kernel counts zombies too, and workers without a master
// stay zombies until the machine's first process looks for them.
func group(id int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var members []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if of, err := syscall.Getpgid(pid); err == nil && of == id && daemon.Running(pid) {
			members = append(members, pid)
		}
	}
	return members, nil
}

// serves asks the current worker by way of the master.
func (p *Process) serves(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.MasterSocket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, "@1 show info\n"); err != nil {
		return err
	}
	// The master of old versions keeps a connection that it can still read from.
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !strings.Contains(string(answer), "\nUptime_sec:") {
		return fmt.Errorf("no worker answers: %q", answer)
	}
	return nil
}
