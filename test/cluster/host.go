// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/test/host"
)

// folders are those that containerd and kubelet use wherever they are told to work. In the cluster's mount namespace
// each is a folder of the cluster's own.
func folders() []string {
	return []string{"/run/containerd", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"}
}

// cniFolders are where distributions keep the CNI plugins.
func cniFolders() []string {
	return []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni", "/usr/local/lib/cni"}
}

func cniFolder() string { return host.Find("bridge", cniFolders()...) }

// checkHost makes sure that this machine can run a node.
func (c *Cluster) checkHost(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root: run it by sudo, or use \"make controlplane-up\", which needs none")
	}
	return host.Ensure(ctx, c.opts.Log,
		host.Program("containerd", "containerd"), host.Program("ctr", "containerd"), host.Program("runc", "runc"),
		host.File("CNI plugins", "containernetworking-plugins", "bridge", cniFolders()...),
		host.Program("iptables", "iptables"), host.Program("conntrack", "conntrack"), host.Program("ip", "iproute2"),
		host.Program("nsenter", "util-linux"), host.Program("unshare", "util-linux"), host.Program("mount", "mount"),
		host.Program("sysctl", "procps"))
}

// own is the cluster's folder that takes the place of one of the machine.
func (c *Cluster) own(folder string) string {
	return c.path("fs", strings.ReplaceAll(strings.Trim(folder, "/"), "/", "-"))
}

// mountFolders puts the cluster's folders where the machine's are, as a start of the machine does: what containerd knew
// of running containers is gone.
func (c *Cluster) mountFolders(ctx context.Context) error {
	if err := os.RemoveAll(c.own("/run/containerd")); err != nil {
		return err
	}
	if _, err := c.inside(ctx, "mount", "--make-rshared", "/"); err != nil {
		return err
	}
	for _, folder := range folders() {
		if err := os.MkdirAll(c.own(folder), 0o711); err != nil {
			return err
		}
		if _, err := os.Stat(folder); err != nil {
			if err := os.MkdirAll(folder, 0o711); err != nil {
				return err
			}
			c.state.Made = append(c.state.Made, folder)
			if err := c.save(); err != nil {
				return err
			}
		}
		if _, err := c.inside(ctx, "mount", "--bind", c.own(folder), folder); err != nil {
			return err
		}
	}
	return nil
}

// removeFolders removes those of the machine that were made for the cluster, unless somebody uses them by now.
func (c *Cluster) removeFolders() error {
	for _, folder := range c.state.Made {
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) > 0 || mounted(folder) {
			continue
		}
		if err := os.Remove(folder); err != nil {
			return err
		}
	}
	return nil
}

// mounted reports whether a process of any mount namespace has something mounted at a folder: to remove it would take the
// mount away from another cluster.
func mounted(folder string) bool {
	tables, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		return true
	}
	for _, path := range tables {
		table, err := os.ReadFile(path)
		if err != nil {
			continue // The process has ended.
		}
		for line := range strings.Lines(string(table)) {
			// The fifth field is the mount point.
			if fields := strings.Fields(line); len(fields) > 4 && fields[4] == folder {
				return true
			}
		}
	}
	return false
}
