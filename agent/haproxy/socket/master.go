// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Master is a client of the master's socket. It is safe for concurrent use, reloads aside.
type Master struct{ path string }

// NewMaster is a client of the master's socket at a path.
func NewMaster(path string) *Master { return &Master{path: path} }

// Proc is one process.
type Proc struct {
	PID int
	// Reloads counts those that it has lived through, failed ones too.
	Reloads int
	Version string
}

// Procs are HAProxy's processes.
type Procs struct {
	Master Proc
	// FailedReloads counts those since the last one that succeeded.
	FailedReloads int
	// Workers has the one in force. It is empty on 3.x after a reload that failed: the worker that goes on is the
	// first of OldWorkers then.
	Workers []Proc
	// OldWorkers finish what they serve, that case aside.
	OldWorkers []Proc
}

// Serving is the worker that takes new connections.
func (p Procs) Serving() (Proc, bool) {
	if len(p.Workers) > 0 {
		return p.Workers[0], true
	}
	if len(p.OldWorkers) == 0 || p.FailedReloads == 0 {
		return Proc{}, false
	}
	return slices.MinFunc(p.OldWorkers, func(a, b Proc) int { return a.Reloads - b.Reloads }), true
}

// ReloadError says that HAProxy did not take the new configuration: the old worker goes on as before.
type ReloadError struct {
	// Log is what HAProxy said, a line or more; 2.6 says it in its own log only, and it is empty.
	Log string
}

// Error has the alerts of the log.
func (e *ReloadError) Error() string {
	var alerts []string
	for l := range strings.Lines(e.Log) {
		if rest, ok := strings.CutPrefix(l, "[ALERT]"); ok {
			_, rest, _ = strings.Cut(rest, ":")
			alerts = append(alerts, strings.TrimSpace(rest))
		}
	}
	if len(alerts) == 0 {
		return "HAProxy did not take the new configuration; its log says why"
	}
	return "HAProxy did not take the new configuration: " + strings.Join(alerts, "; ")
}

// Procs lists the processes.
func (m *Master) Procs(ctx context.Context) (Procs, error) {
	out, err := exchange(ctx, m.path, "show proc\n", true)
	if err != nil {
		return Procs{}, fmt.Errorf("ask HAProxy's master for its processes: %w", err)
	}
	return parseProcs(out)
}

func parseProcs(out string) (Procs, error) {
	var p Procs
	section := ""
	for l := range strings.Lines(out) {
		l = strings.TrimSpace(strings.NewReplacer("[failed: ", "[failed:", "[failed:  ", "[failed:").Replace(l))
		if l == "" {
			continue
		}
		if l[0] == '#' {
			section = strings.TrimSpace(l[1:])
			continue
		}
		fields := strings.Fields(l)
		if len(fields) < 4 {
			return p, fmt.Errorf("%w: a process without its columns", ErrProtocol)
		}
		failures := 0
		if n, ok := strings.CutPrefix(fields[3], "[failed:"); ok {
			failures, _ = strconv.Atoi(strings.TrimSuffix(n, "]"))
			fields = slices.Delete(fields, 3, 4)
		}
		pid, err1 := strconv.Atoi(fields[0])
		reloads, err2 := strconv.Atoi(fields[2])
		if err := errors.Join(err1, err2); err != nil {
			return p, fmt.Errorf("%w: a process without its numbers", ErrProtocol)
		}
		proc := Proc{PID: pid, Reloads: reloads}
		if len(fields) > 4 {
			proc.Version = fields[4]
		}
		switch {
		case fields[1] == "master":
			p.Master, p.FailedReloads = proc, failures
		case section == "workers":
			p.Workers = append(p.Workers, proc)
		case section == "old workers":
			p.OldWorkers = append(p.OldWorkers, proc)
		}
	}
	if p.Master.PID == 0 {
		return p, fmt.Errorf("%w: no master among the processes", ErrProtocol)
	}
	return p, nil
}

// Reload has HAProxy read its configuration again and returns the new worker when that serves, or *ReloadError. Call it
// from one place at a time.
func (m *Master) Reload(ctx context.Context) (Proc, error) {
	before, err := m.Procs(ctx)
	if err != nil {
		return Proc{}, err
	}
	// 2.6 ends the connection at once, 3.x when the new worker serves.
	out, err := exchange(ctx, m.path, "reload\n", false)
	if err != nil && (ctx.Err() != nil || out != "") {
		return Proc{}, fmt.Errorf("reload HAProxy: %w", err)
	}
	if log, ok := strings.CutPrefix(out, "Success=0\n"); ok {
		return Proc{}, &ReloadError{Log: strings.TrimSpace(strings.TrimPrefix(log, "--\n"))}
	}
	for {
		now, err := m.Procs(ctx)
		if err == nil && now.Master.Reloads > before.Master.Reloads {
			if now.FailedReloads > 0 {
				return Proc{}, &ReloadError{}
			}
			if len(now.Workers) > 0 {
				return now.Workers[0], nil
			}
		}
		select {
		case <-ctx.Done():
			return Proc{}, fmt.Errorf("wait for the reload of HAProxy: %w", errors.Join(ctx.Err(), err))
		case <-time.After(poll):
		}
	}
}
