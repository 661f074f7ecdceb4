// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controlplane runs a real Kubernetes control plane on this machine: etcd, kube-apiserver and
// kube-controller-manager, without a node. It needs no root, no image and no network. Linux only.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/fairlead/fairlead/test/daemon"
)

// Component is one process of a control plane, by the name of its binary.
type Component string

// The components that a control plane has.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
)

// components lists all processes in the order in which they start.
func components() []Component { return []Component{Etcd, APIServer, ControllerManager, Scheduler} }

// loopback is where everything listens that only this machine, or its own network namespace, has to reach.
const loopback = "127.0.0.1"

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
	// ControllerManagerArgs are added to its command line, and win over what is there.
	ControllerManagerArgs []string
	// Scheduler adds kube-scheduler, for a node. Its binary is one of those of a node.
	Scheduler bool
	// Address is where the API server listens; empty means 127.0.0.1. Keys are made for the address that is
	// asked for first.
	Address string
	// Users are further users beside the administrator. Those of the first start are the ones that there are.
	Users []User
	// Enter is a command line that starts another one, like nsenter, and becomes it. All processes start by it.
	Enter []string
	// Dial reaches 127.0.0.1 as the processes have it; nil means that it is this process's own.
	Dial Dial `json:"-"`
	// Detached makes the processes outlive this one. Their ids are recorded in Dir, and Start on the same
	// Dir starts only what does not run. Otherwise they die with this process, however it ends.
	Detached bool
	// Log gets a line for every step, like testing.T.Logf; nil means none.
	Log func(format string, args ...any) `json:"-"`
}

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// User is somebody whom the API server knows by a token.
type User struct {
	Name   string
	Groups []string
}

// ControlPlane is a control plane that Start started or Open found.
type ControlPlane struct {
	opts      Options
	temporary bool

	mu        sync.Mutex
	ports     ports
	keys      credentials
	processes map[Component]*daemon.Daemon
	spawner   *daemon.Spawner
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

// Open finds the detached control plane of a folder, with the options that it was started with, and starts nothing.
// dial is Options.Dial. The error is fs.ErrNotExist where there never was one.
func Open(dir string, dial Dial) (*ControlPlane, error) {
	if _, err := os.Stat(filepath.Join(dir, stateDir)); err != nil {
		return nil, err
	}
	cp := &ControlPlane{opts: Options{Dir: dir}}
	if err := daemon.ReadJSON(cp.path(optionsFile), &cp.opts); err != nil {
		return nil, err
	}
	cp.opts.Dir, cp.opts.Dial, cp.opts.Log = dir, dial, func(string, ...any) {}
	if err := cp.load(); err != nil {
		return nil, err
	}
	if err := cp.readCredentials(); err != nil {
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

// Status tells of each process that belongs to it whether it runs.
func (cp *ControlPlane) Status() []daemon.Status {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	var all []daemon.Status
	for _, c := range cp.wanted() {
		if p := cp.processes[c]; p != nil {
			all = append(all, p.Status())
		} else {
			all = append(all, daemon.Status{Name: string(c), Log: cp.logPath(c)})
		}
	}
	return all
}

// Running reports whether all processes run.
func (cp *ControlPlane) Running() bool { return daemon.AllRun(cp.Status()) }

// Kill ends one process as kill -9 does and returns when it is gone.
func (cp *ControlPlane) Kill(c Component) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.processes[c].Kill()
}

// Restart kills one process if it runs, and starts it with the same ports and data. It returns when the
// control plane is ready.
func (cp *ControlPlane) Restart(ctx context.Context, c Component) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if err := cp.processes[c].Kill(); err != nil {
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
		errs = append(errs, cp.processes[c].Kill())
	}
	if cp.spawner != nil {
		cp.spawner.Close()
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
