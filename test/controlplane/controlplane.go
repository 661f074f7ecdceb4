// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controlplane runs a real Kubernetes control plane on this machine: etcd, kube-apiserver and
// kube-controller-manager, without a node. It needs no root, no image and no network. Linux only.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"
)

// Component is one process of a control plane, by the name of its binary.
type Component string

// The components that a control plane has.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
)

// components lists all processes in the order in which they start.
func components() []Component { return []Component{Etcd, APIServer, ControllerManager} }

// Options say how to run a control plane. The zero value is an API server without controllers.
type Options struct {
	// Dir holds the kubeconfig, and in the folder controlplane everything else: data, keys, logs.
	// What is there from an earlier run is used again. Empty means a temporary folder, removed by Stop.
	Dir string
	// Assets is the folder with the binaries; empty means that of the function Assets.
	Assets string
	// APIServerArgs are added to the API server's command line, and win over what is there.
	APIServerArgs []string
	// ControllerManager adds kube-controller-manager, which namespaces need to get service accounts
	// and to go away, garbage collection to happen and quotas to have a status.
	ControllerManager bool
	// Detached makes the processes outlive this one. Their ids are recorded in Dir, and Start on the same
	// Dir starts only what does not run. Otherwise they die with this process, however it ends.
	Detached bool
	// Log gets a line for every step, like testing.T.Logf; nil means none.
	Log func(format string, args ...any)
}

// ControlPlane is a control plane that Start started or Open found.
type ControlPlane struct {
	opts      Options
	temporary bool

	mu        sync.Mutex
	ports     ports
	keys      credentials
	processes map[Component]*process
	spawner   *spawner
}

// Status is what is known of one process.
type Status struct {
	Component Component
	// PID is 0 where the process does not run.
	PID int
	// Log is the path of its log.
	Log string
}

// Start runs a control plane and returns when it is ready: /readyz says ok, the namespace default
// exists and, with ControllerManager, its service account gets tokens. ctx bounds the start only.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	cp, err := newControlPlane(opts)
	if err != nil {
		return nil, err
	}
	if err := cp.up(ctx); err != nil {
		if !opts.Detached {
			err = errors.Join(err, cp.Stop())
		}
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	return cp, nil
}

// Open finds the detached control plane of a folder and starts nothing. The error is fs.ErrNotExist
// where there never was one.
func Open(dir string) (*ControlPlane, error) {
	if _, err := os.Stat(filepath.Join(dir, stateDir)); err != nil {
		return nil, err
	}
	cp := &ControlPlane{opts: Options{Dir: dir, Detached: true}}
	if err := cp.load(); err != nil {
		return nil, err
	}
	return cp, nil
}

// Config returns a new client configuration for the administrator, without a client-side rate limit.
func (cp *ControlPlane) Config() *rest.Config {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.config()
}

// Kubeconfig returns the path of a kubeconfig for the administrator.
func (cp *ControlPlane) Kubeconfig() string { return filepath.Join(cp.opts.Dir, "kubeconfig") }

// Status tells of each process whether it runs.
func (cp *ControlPlane) Status() []Status {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	var all []Status
	for _, c := range components() {
		s := Status{Component: c, Log: cp.logPath(c)}
		if p := cp.processes[c]; p.alive() {
			s.PID = p.PID
		}
		all = append(all, s)
	}
	return all
}

// Kill ends one process as kill -9 does and returns when it is gone.
func (cp *ControlPlane) Kill(c Component) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.processes[c].kill()
}

// Restart kills one process if it runs, and starts it with the same ports and data. It returns when the
// control plane is ready.
func (cp *ControlPlane) Restart(ctx context.Context, c Component) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if err := cp.processes[c].kill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := cp.ensure(ctx, c); err != nil {
		return err
	}
	return cp.waitReady(ctx)
}

// RestartAPIServer is Restart of the API server.
func (cp *ControlPlane) RestartAPIServer(ctx context.Context) error {
	return cp.Restart(ctx, APIServer)
}

// Stop kills the processes and returns when they are gone. Data stays, unless Options.Dir was empty.
func (cp *ControlPlane) Stop() error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	var errs []error
	for _, c := range components() {
		errs = append(errs, cp.processes[c].kill())
	}
	if cp.spawner != nil {
		cp.spawner.close()
	}
	if cp.temporary {
		errs = append(errs, os.RemoveAll(cp.opts.Dir))
	}
	return errors.Join(errs...)
}

// Remove is Stop, and removes the data and the kubeconfig.
func (cp *ControlPlane) Remove() error {
	if err := cp.Stop(); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(cp.path()), os.RemoveAll(cp.Kubeconfig()))
}
