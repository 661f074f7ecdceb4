// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fairlead/fairlead/test/daemon"
)

const (
	stateDir    = "controlplane"
	optionsFile = "options.json"
	// startTimeout bounds a start on a loaded machine; an idle one needs about 8 seconds.
	startTimeout = 3 * time.Minute
	portAttempts = 3
)

func newControlPlane(opts Options) (*ControlPlane, error) {
	cp := &ControlPlane{opts: opts, processes: map[Component]*daemon.Daemon{}}
	if opts.Log == nil {
		cp.opts.Log = func(string, ...any) {}
	}
	if opts.Address == "" {
		cp.opts.Address = loopback
	}
	var err error
	if opts.Assets == "" {
		cp.opts.Assets, err = Assets()
	}
	if err == nil {
		err = checkAssets(cp.opts.Assets, cp.wanted()...)
	}
	if err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		cp.temporary = true
		cp.opts.Dir, err = os.MkdirTemp("", "fairlead-controlplane-")
	} else {
		cp.opts.Dir, err = filepath.Abs(opts.Dir)
	}
	if err != nil {
		return nil, err
	}
	if !opts.Detached {
		cp.spawner = daemon.NewSpawner()
	}
	return cp, nil
}

// up brings the control plane to the wanted state from any other: nothing there, parts of it dead, all
// of it running.
func (cp *ControlPlane) up(ctx context.Context) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := os.MkdirAll(cp.path(), 0o700); err != nil {
		return err
	}
	err := cp.load()
	if err == nil {
		err = daemon.WriteJSON(cp.path(optionsFile), cp.opts)
	}
	if err != nil {
		return err
	}
	for range portAttempts {
		if err = cp.upOnce(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
		cp.opts.Log("%v; trying other ports", err)
	}
	return err
}

func (cp *ControlPlane) upOnce(ctx context.Context) error {
	if err := cp.settlePorts(); err != nil {
		return err
	}
	if err := cp.settleCredentials(); err != nil {
		return err
	}
	if err := cp.writeKubeconfig(); err != nil {
		return err
	}
	for _, c := range cp.wanted() {
		if err := cp.ensure(ctx, c); err != nil {
			return err
		}
	}
	return cp.waitReady(ctx)
}

// load reads what an earlier run left: its ports, keys and the processes that it detached.
func (cp *ControlPlane) load() error {
	cp.processes = map[Component]*daemon.Daemon{}
	if err := daemon.ReadJSON(cp.path("ports.json"), &cp.ports); err != nil {
		return err
	}
	if !cp.opts.Detached {
		return nil
	}
	for _, c := range components() {
		p, err := daemon.Open(string(c), cp.logPath(c), cp.recordPath(c))
		if err != nil {
			return err
		}
		cp.processes[c] = p
	}
	return nil
}

// ensure starts a process unless it runs with the command line that it should have.
func (cp *ControlPlane) ensure(ctx context.Context, c Component) error {
	args := slices.Concat(cp.opts.Enter, cp.args(c))
	if p := cp.processes[c]; p.Runs(args) {
		return nil
	} else if p.Alive() {
		cp.opts.Log("%s runs with other arguments: restarting it", c)
		if err := p.Kill(); err != nil {
			return err
		}
	}
	began := time.Now()
	spawn, record := daemon.Detached, cp.recordPath(c)
	if !cp.opts.Detached {
		spawn, record = cp.spawner.Start, ""
	}
	p := daemon.New(string(c), cp.logPath(c), record, args...)
	if err := p.Start(spawn); err != nil {
		return fmt.Errorf("start %s: %w", c, err)
	}
	cp.processes[c] = p
	if err := cp.waitComponent(ctx, c); err != nil {
		return err
	}
	cp.opts.Log("%s (pid %d) ready after %.1f s", c, p.PID, time.Since(began).Seconds())
	return nil
}

func (cp *ControlPlane) wanted() []Component {
	wanted := []Component{Etcd, APIServer}
	if cp.opts.ControllerManager {
		wanted = append(wanted, ControllerManager)
	}
	if cp.opts.Scheduler {
		wanted = append(wanted, Scheduler)
	}
	return wanted
}

func (cp *ControlPlane) path(elem ...string) string {
	return filepath.Join(append([]string{cp.opts.Dir, stateDir}, elem...)...)
}

func (cp *ControlPlane) logPath(c Component) string { return cp.path(string(c) + ".log") }

func (cp *ControlPlane) recordPath(c Component) string { return cp.path(string(c) + ".json") }
