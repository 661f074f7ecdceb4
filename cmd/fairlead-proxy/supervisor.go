// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

const (
	configFile   = "haproxy.cfg"
	masterSocket = "master.sock"
	proxySocket  = "proxy.sock"

	configPoll   = 50 * time.Millisecond
	checkTimeout = 60 * time.Second
)

type options struct {
	dir, program string
	delay        time.Duration
}

// supervisor runs one HAProxy.
type supervisor struct {
	options
	children *children

	// checking lets one check run at a time: each needs as much memory as HAProxy itself.
	checking sync.Mutex

	mu     sync.Mutex
	status status
}

func newSupervisor(o options) *supervisor {
	return &supervisor{options: o, children: newChildren()}
}

func (s *supervisor) path(name string) string { return filepath.Join(s.dir, name) }

// run returns the exit status of HAProxy's master, or 0 where the end came before there was one.
func (s *supervisor) run(ctx context.Context) (int, error) {
	version, err := s.version(ctx)
	if err != nil {
		return 1, err
	}
	s.update(func(st *status) { st.Version = version })
	stop, err := s.serve()
	if err != nil {
		return 1, err
	}
	defer stop()
	slog.Info("Waiting for a configuration", "version", version)
	if err := s.awaitConfig(ctx); err != nil {
		slog.Info("Stopped without HAProxy")
		return 0, nil //nolint:nilerr // The only error is that the end came.
	}
	pid, exited, err := s.children.start([]string{
		s.program, "-W", "-S", s.path(masterSocket) + ",level,admin", "-f", s.path(configFile),
	}, os.Stdout, os.Stderr)
	if err != nil {
		return 1, err
	}
	s.update(func(st *status) { st.Running, st.PID, st.Starts = true, pid, st.Starts+1 })
	slog.Info("Started HAProxy", "pid", pid)
	ended := s.await(ctx, pid, exited)
	s.update(func(st *status) { st.Running, st.PID = false, 0 })
	slog.Info("HAProxy ended", "status", exitStatus(ended))
	return exitStatus(ended), nil
}

// await returns when the master has ended, which it is told to when ctx has ended and the delay is over.
func (s *supervisor) await(ctx context.Context, pid int, exited <-chan syscall.WaitStatus) syscall.WaitStatus {
	select {
	case ended := <-exited:
		return ended
	case <-ctx.Done():
	}
	slog.Info("Told to stop", "delay", s.delay.String())
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case ended := <-exited:
		return ended
	case <-timer.C:
	}
	slog.Info("Stopping HAProxy when it has served what is open", "pid", pid)
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		slog.Error("Cannot signal HAProxy", "error", err)
	}
	return <-exited
}

// awaitConfig returns when there is a configuration that HAProxy takes.
func (s *supervisor) awaitConfig(ctx context.Context) error {
	ticker := time.NewTicker(configPoll)
	defer ticker.Stop()
	var refused os.FileInfo
	for {
		info, err := os.Stat(s.path(configFile))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			slog.Error("Cannot read the configuration", "error", err)
		case refused != nil && os.SameFile(info, refused) && info.ModTime().Equal(refused.ModTime()):
		default:
			result := s.check(ctx, s.path(configFile))
			if result.OK {
				return nil
			}
			refused = info
			slog.Error("HAProxy refuses the configuration; waiting for another one", "output", result.Output)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// check asks HAProxy whether it takes a configuration.
func (s *supervisor) check(ctx context.Context, config string) checkResult {
	s.checking.Lock()
	defer s.checking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	output, ended, err := s.children.output(ctx, s.program, "-c", "-f", config)
	if err != nil {
		return checkResult{Output: fmt.Sprintf("the check did not end: %v", err), Failed: true}
	}
	return checkResult{OK: ended.Exited() && ended.ExitStatus() == 0, Output: output, Failed: !ended.Exited()}
}

var versionPattern = regexp.MustCompile(`(?i)^HA-?Proxy version ([0-9]+\.[0-9]+[^\s]*)`)

func (s *supervisor) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	output, _, err := s.children.output(ctx, s.program, "-v")
	if err != nil {
		return "", fmt.Errorf("ask HAProxy for its version: %w", err)
	}
	found := versionPattern.FindStringSubmatch(output)
	if found == nil {
		return "", fmt.Errorf("ask HAProxy for its version: it says %.200q", output)
	}
	return found[1], nil
}

// exitStatus is what a shell would say: 128 and the signal that killed it.
func exitStatus(ended syscall.WaitStatus) int {
	if ended.Signaled() {
		return 128 + int(ended.Signal())
	}
	return ended.ExitStatus()
}
