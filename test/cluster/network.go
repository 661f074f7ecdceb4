// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Each cluster of a machine has 256 addresses of the block for benchmarks of network devices (RFC 2544), which no
// network uses: .1 is the machine's, .2 the node's, and the upper half is the pool.
const (
	block     = "198.18"
	indexes   = 64
	podRange  = "10.244.0.0/16"
	nodeRange = "10.244.0.0/24"
)

func (c *Cluster) hostAddress() string { return fmt.Sprintf("%s.%d.1", block, c.state.Index) }
func (c *Cluster) nodeAddress() string { return fmt.Sprintf("%s.%d.2", block, c.state.Index) }

// Pool is the range of the addresses of Services of type LoadBalancer, routed from the machine to the node.
func (c *Cluster) Pool() string { return fmt.Sprintf("%s.%d.128/25", block, c.state.Index) }

func (c *Cluster) link() string { return fmt.Sprintf("fairlead%d", c.state.Index) }

// startSandbox makes the namespaces. Their holder is a process, so that nothing of them can outlive the cluster: when
// the last process in a namespace ends, the kernel drops it with all mounts, interfaces and rules.
func (c *Cluster) startSandbox(ctx context.Context) error {
	if c.daemons[Sandbox].Alive() {
		return nil
	}
	// What still runs belongs to namespaces that nobody can enter any more.
	if err := c.killRemains(); err != nil {
		return err
	}
	if err := c.chooseIndex(); err != nil {
		return err
	}
	if err := c.makeCgroups(); err != nil {
		return err
	}
	unshared := func(context.Context) error {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.daemons[Sandbox].PID))
		if err == nil && strings.TrimSpace(string(comm)) != "sleep" {
			err = errors.New("unshare is still at it")
		}
		return err
	}
	if err := c.ensure(ctx, Sandbox, unshared,
		"unshare", "--mount", "--net", "--propagation", "private", "--", "sleep", "infinity"); err != nil {
		return err
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	return c.mountFolders(ctx)
}

// killRemains ends what an earlier run left when its sandbox was killed.
func (c *Cluster) killRemains() error {
	if c.state.Index < 0 {
		return nil
	}
	var errs []error
	for _, name := range daemons() {
		errs = append(errs, c.daemons[name].Kill())
	}
	// kubelet would wait seconds for each cgroup whose container is gone.
	errs = append(errs, c.stopPlane(), c.killMembers(), c.removeLink(), c.removeCgroups())
	return errors.Join(errs...)
}

// chooseIndex takes the first index that nothing on this machine uses, and keeps to it.
func (c *Cluster) chooseIndex() error {
	if c.state.Index >= 0 {
		return nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	h, err := roll()
	if err != nil {
		return err
	}
	for c.state.Index = 0; c.state.Index < indexes; c.state.Index++ {
		taken := false
		for _, a := range addresses {
			taken = taken || strings.HasPrefix(a.String(), fmt.Sprintf("%s.%d.", block, c.state.Index))
		}
		if taken {
			continue
		}
		// Of two that start at the same time one makes the cgroup: what is in it is killed at the end.
		if err := os.Mkdir(filepath.Join(h, c.cgroup()), 0o755); err == nil {
			return c.save()
		} else if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("all %d networks of %s are taken", indexes, block)
}

// connect gives the node an interface to this machine, and routes the pool to it.
func (c *Cluster) connect(ctx context.Context) error {
	host, node := c.hostAddress(), c.nodeAddress()
	pid := strconv.Itoa(c.daemons[Sandbox].PID)
	for _, args := range [][]string{
		{"link", "add", c.link(), "type", "veth", "peer", "name", "eth0", "netns", pid},
		{"address", "add", host + "/30", "dev", c.link()},
		{"link", "set", c.link(), "up"},
		{"route", "add", c.Pool(), "via", node},
	} {
		if _, err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "address", "add", node + "/30", "dev", "eth0"},
		{"ip", "link", "set", "eth0", "up"},
		{"ip", "route", "add", "default", "via", host},
		{"sysctl", "-q", "-w", "net.ipv4.ip_forward=1"},
		// Without it the replies between two pods of the bridge pass by kube-proxy's rules. Not every kernel has it as a module.
		{"sysctl", "-q", "-e", "-w", "net.bridge.bridge-nf-call-iptables=1"},
	} {
		if _, err := c.inside(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// removeLink removes the interface, if it did not go with the namespace.
func (c *Cluster) removeLink() error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(interfaces, func(i net.Interface) bool { return i.Name == c.link() }) {
		return nil
	}
	_, err = run(context.Background(), "ip", "link", "delete", c.link())
	return err
}

// Enter is a command line that starts another one in the cluster's namespaces, where Services and pods have their
// addresses, and becomes it.
func (c *Cluster) Enter() []string {
	return []string{"nsenter", "--target", strconv.Itoa(c.daemons[Sandbox].PID), "--mount", "--net", "--"}
}

// inside runs a command in the cluster's namespaces.
func (c *Cluster) inside(ctx context.Context, args ...string) (string, error) {
	enter := c.Enter()
	return run(ctx, enter[0], append(enter[1:], args...)...)
}

// run runs a command. The error has what it printed.
func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
