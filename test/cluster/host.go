// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// folders are those that containerd and kubelet use wherever they are told to work. In the cluster's mount namespace
// each is a folder of the cluster's own.
func folders() []string {
	return []string{"/run/containerd", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"}
}

// programs are what the cluster runs, and the Debian packages that have them.
func programs() map[string]string {
	return map[string]string{
		"containerd": "containerd", "ctr": "containerd", "runc": "runc", "iptables": "iptables", "conntrack": "conntrack",
		"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "mount": "mount", "sysctl": "procps",
	}
}

// cniFolders are where distributions keep the CNI plugins.
func cniFolders() []string {
	return []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni", "/usr/local/lib/cni"}
}

const cniPackage = "containernetworking-plugins"

// checkHost makes sure that this machine can run a node. On Debian it installs what is missing; elsewhere it says what is.
func (c *Cluster) checkHost(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root: run it by sudo, or use \"make controlplane-up\", which needs none")
	}
	missing, packages := missingPrograms()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing on this machine: %s; install them (Debian's packages are %s)",
			strings.Join(missing, ", "), strings.Join(packages, ", "))
	}
	c.opts.Log("installing Debian's packages %s", strings.Join(packages, ", "))
	return install(ctx, packages)
}

func missingPrograms() (missing, packages []string) {
	for program, pkg := range programs() {
		if _, err := exec.LookPath(program); err != nil {
			missing, packages = append(missing, program), append(packages, pkg)
		}
	}
	if cniFolder() == "" {
		missing, packages = append(missing, "CNI plugins"), append(packages, cniPackage)
	}
	slices.Sort(missing)
	slices.Sort(packages)
	return missing, slices.Compact(packages)
}

func cniFolder() string {
	for _, dir := range cniFolders() {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return ""
}

func install(ctx context.Context, packages []string) error {
	apt := []string{"-o", "DPkg::Lock::Timeout=300", "-qq", "--no-install-recommends", "-y"}
	for _, args := range [][]string{append(apt, "update"), append(append(apt, "install"), packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	if missing, _ := missingPrograms(); len(missing) > 0 {
		return fmt.Errorf("still missing on this machine after the packages' installation: %s", strings.Join(missing, ", "))
	}
	return nil
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
		if err != nil || len(entries) > 0 {
			continue
		}
		if err := os.Remove(folder); err != nil {
			return err
		}
	}
	return nil
}
