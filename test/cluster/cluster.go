// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a Kubernetes cluster of one node on this machine, with pods and traffic: the control plane of package
// controlplane, kube-scheduler, containerd, kubelet, kube-proxy, a CNI bridge, CoreDNS, metrics-server and a pool of addresses
// for Services of type LoadBalancer. It needs root on Linux, and no image registry.
//
// All processes share a network and a mount namespace of their own, which the kernel drops with the last of them. The
// machine itself sees a veth pair, a route to the pool and a cgroup.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/daemon"
)

// NodeName is the name of the only node.
const NodeName = "node"

// Names of the processes beside those of the control plane.
const (
	Sandbox     = "sandbox"
	Containerd  = "containerd"
	Kubelet     = "kubelet"
	KubeProxy   = "kube-proxy"
	AddressPool = "addresspool"
)

// daemons lists the cluster's own processes in the order in which they start.
func daemons() []string { return []string{Sandbox, Containerd, Kubelet, KubeProxy, AddressPool} }

const (
	stateDir = "cluster"
	// upTimeout bounds a start after everything is built; a quiet machine needs about 40 seconds.
	upTimeout = 5 * time.Minute
)

// Options say how to run a cluster.
type Options struct {
	// Dir holds the kubeconfig, and in the folder cluster everything else. What an earlier run stored is used again.
	Dir string
	// Root is the folder of Fairlead's module, which images are built from.
	Root string
	// Log gets a line for every step; nil means none.
	Log func(format string, args ...any)
}

// Cluster is a cluster that Up started or Open found.
type Cluster struct {
	opts    Options
	state   state
	plane   *controlplane.ControlPlane
	daemons map[string]*daemon.Daemon
}

// state is what has to be known to take the cluster down again.
type state struct {
	// Index tells the clusters of a machine apart: addresses, cgroup and interface have it in them.
	Index int `json:"index"`
	// Assets is the folder with the binaries.
	Assets string `json:"assets"`
	// Made are folders of the machine that did not exist before.
	Made []string `json:"made"`
}

// Open finds the cluster of a folder and starts nothing. The error is fs.ErrNotExist where there is none.
func Open(dir string) (*Cluster, error) {
	c, err := newCluster(Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.statePath()); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.plane, err = controlplane.Open(c.path(), c.Dial)
	if errors.Is(err, fs.ErrNotExist) {
		c.plane, err = nil, nil // Its start was interrupted.
	}
	return c, err
}

func newCluster(opts Options) (*Cluster, error) {
	var err error
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = func(string, ...any) {}
	}
	return &Cluster{opts: opts, state: state{Index: -1}}, nil
}

func (c *Cluster) load() error {
	if err := daemon.ReadJSON(c.statePath(), &c.state); err != nil {
		return err
	}
	c.daemons = map[string]*daemon.Daemon{}
	for _, name := range daemons() {
		d, err := daemon.Open(name, c.path(name+".log"), c.path(name+".json"))
		if err != nil {
			return err
		}
		c.daemons[name] = d
	}
	return nil
}

func (c *Cluster) save() error { return daemon.WriteJSON(c.statePath(), c.state) }

func (c *Cluster) statePath() string { return c.path("state.json") }

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.opts.Dir, stateDir}, elem...)...)
}

// Kubeconfig returns the path of a kubeconfig for the administrator. It serves from the machine as well as inside.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.opts.Dir, "kubeconfig") }

// Config returns a new client configuration for the administrator.
func (c *Cluster) Config() *rest.Config { return c.plane.Config() }

// Status tells of each process whether it runs.
func (c *Cluster) Status() []daemon.Status {
	var all []daemon.Status
	if c.plane != nil {
		all = c.plane.Status()
	}
	for _, name := range daemons() {
		all = append(all, c.daemons[name].Status())
	}
	return all
}

// Running reports whether all processes run.
func (c *Cluster) Running() bool { return c.plane != nil && daemon.AllRun(c.Status()) }

// RestartControlPlane kills a component of the control plane, and returns when it serves again.
func (c *Cluster) RestartControlPlane(ctx context.Context, component controlplane.Component) error {
	return c.plane.Restart(ctx, component)
}

// Restart kills one of the cluster's own processes, the sandbox aside, and returns when it serves again.
func (c *Cluster) Restart(ctx context.Context, name string) error {
	start := map[string]func(context.Context) error{
		Containerd: c.startContainerd, Kubelet: c.startKubelet, KubeProxy: c.startProxy, AddressPool: c.startPool,
	}[name]
	if start == nil {
		return fmt.Errorf("%s cannot be restarted", name)
	}
	if err := c.daemons[name].Kill(); err != nil {
		return err
	}
	return start(ctx)
}

// ensure starts a process unless it runs with that command line, and waits until the answer to ask is yes.
func (c *Cluster) ensure(ctx context.Context, name string, ask func(context.Context) error, args ...string) error {
	d := daemon.New(name, c.path(name+".log"), c.path(name+".json"), args...)
	if had := c.daemons[name]; had.Runs(args) {
		d = had
	} else {
		if err := had.Kill(); err != nil {
			return err
		}
		if err := d.Start(daemon.Detached); err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		c.daemons[name] = d
	}
	if err := c.enroll(d.PID); err != nil {
		return err
	}
	return d.Await(ctx, ask)
}
