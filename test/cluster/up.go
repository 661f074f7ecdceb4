// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/images"
	"github.com/fairlead/fairlead/test/operator"
)

// Users that the node's processes are. The API server's own roles are bound to these names.
const (
	kubeletUser  = "system:node:" + NodeName
	kubeletGroup = "system:nodes"
	proxyUser    = "system:kube-proxy"
)

// errControlPlane means that the folder's kubeconfig belongs to somebody else.
var errControlPlane = errors.New("a control plane without a node runs here; stop it with \"make controlplane-down\"")

// Up brings the cluster to the wanted state from any other: nothing there, parts of it dead, all of it running.
// It returns when the node is ready, names resolve and metrics are served.
func Up(ctx context.Context, opts Options) (*Cluster, error) {
	c, err := newCluster(opts)
	if err != nil {
		return nil, err
	}
	if plane, err := controlplane.Open(c.opts.Dir, nil); err == nil && plane.Running() {
		return nil, errControlPlane
	}
	built, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"network and cgroups", c.startSandbox},
		{"control plane", c.startControlPlane},
		{Containerd, c.startContainerd},
		{"images", func(ctx context.Context) error { return c.Load(ctx, built...) }},
		{Kubelet, c.startKubelet},
		{KubeProxy, c.startProxy},
		{"address pool", c.startPool},
		{"CoreDNS and metrics-server", c.installAddons},
		{"node and addons ready", c.waitReady},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("start cluster: %s: %w", step.name, err)
		}
		c.opts.Log("%s: %.1f s", step.name, time.Since(began).Seconds())
	}
	return c, nil
}

// prepare does all that takes long the first time, and changes nothing on the machine but its packages.
func (c *Cluster) prepare(ctx context.Context) ([]images.Image, error) {
	if err := c.checkHost(ctx); err != nil {
		return nil, err
	}
	assets, err := controlplane.NodeAssets()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.path(), 0o700); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.state.Assets = assets
	if err := c.save(); err != nil {
		return nil, err
	}
	c.opts.Log("building what is not built yet")
	if err := operator.BuildPackage(ctx, c.opts.Root, c.path(AddressPool), "./hack/addresspool"); err != nil {
		return nil, err
	}
	return images.Build(ctx, images.Options{Root: c.opts.Root, Log: c.opts.Log}, "pause", "coredns", "metrics-server")
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	keys, err := c.settleKeys()
	if err != nil {
		return err
	}
	c.plane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: c.path(), Assets: c.state.Assets, Detached: true, Log: c.opts.Log,
		ControllerManager: true, Scheduler: true,
		Address: c.nodeAddress(), Enter: c.Enter(), Dial: c.Dial,
		Users: []controlplane.User{{Name: kubeletUser, Groups: []string{kubeletGroup}}, {Name: proxyUser}},
		APIServerArgs: []string{
			"--authorization-mode=Node",
			"--enable-admission-plugins=NodeRestriction",
			// The node's name means nothing to the resolver.
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate=" + keys.path(kubeletClient+".crt"),
			"--kubelet-client-key=" + keys.path(kubeletClient+".key"),
			// By these an aggregated API server, like metrics-server, knows the API server.
			"--requestheader-client-ca-file=" + keys.path("ca.crt"),
			"--requestheader-allowed-names=" + frontProxy,
			"--requestheader-username-headers=X-Remote-User",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + keys.path(frontProxy+".crt"),
			"--proxy-client-key-file=" + keys.path(frontProxy+".key"),
		},
		// A test does not wait for minutes until a load is believed.
		ControllerManagerArgs: []string{
			"--horizontal-pod-autoscaler-sync-period=5s",
			"--horizontal-pod-autoscaler-cpu-initialization-period=10s",
			"--horizontal-pod-autoscaler-initial-readiness-delay=5s",
			"--horizontal-pod-autoscaler-downscale-stabilization=15s",
		},
	})
	if err != nil {
		return err
	}
	kubeconfig, err := os.ReadFile(c.plane.Kubeconfig())
	if err != nil {
		return err
	}
	return daemon.WriteFile(c.Kubeconfig(), kubeconfig)
}

// Down ends all processes and removes everything that the cluster left on the machine, packages aside.
func (c *Cluster) Down() error {
	for _, name := range []string{AddressPool, KubeProxy, Kubelet, Containerd} {
		if err := c.daemons[name].Kill(); err != nil {
			return err
		}
	}
	for _, undo := range []func() error{
		c.killMembers, c.stopPlane, c.daemons[Sandbox].Kill, c.removeLink, c.removeCgroups, c.removeFolders, c.removeKubeconfig,
	} {
		if err := undo(); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.path())
}

// stopPlane stops the control plane of this run, or of an earlier one.
func (c *Cluster) stopPlane() error {
	plane, err := controlplane.Open(c.path(), c.Dial)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return plane.Stop()
}

// removeKubeconfig removes it unless it is another control plane's by now.
func (c *Cluster) removeKubeconfig() error {
	found, err := os.ReadFile(c.Kubeconfig())
	if errors.Is(err, fs.ErrNotExist) || c.plane == nil {
		return nil
	}
	if err != nil {
		return err
	}
	ours, err := os.ReadFile(c.plane.Kubeconfig())
	if err != nil || !bytes.Equal(found, ours) {
		return err
	}
	return os.Remove(c.Kubeconfig())
}

func (c *Cluster) startPool(ctx context.Context) error {
	health := fmt.Sprintf("127.0.0.1:%d", poolHealthPort)
	return c.ensure(ctx, AddressPool, func(ctx context.Context) error { return c.healthy(ctx, poolHealthPort) },
		append(c.Enter(), c.path(AddressPool), "--kubeconfig="+filepath.Clean(c.plane.Kubeconfig()),
			"--cidr="+c.Pool(), "--health-address="+health)...)
}
