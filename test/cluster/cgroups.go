// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	cgroupRoot  = "/sys/fs/cgroup"
	killPoll    = 20 * time.Millisecond
	killTimeout = 20 * time.Second
)

func (c *Cluster) cgroup() string { return "/" + c.link() }

// hierarchies are the mounted ones that processes are controlled by: one of version 2, or several of version 1.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	// A controller may be mounted under a name with a link beside it (cpu,cpuacct): links are not followed.
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		path := filepath.Join(cgroupRoot, e.Name())
		var stat unix.Statfs_t
		// Beside those of version 1 there may be one of version 2 without controllers, which runc uses as well.
		if e.IsDir() && unix.Statfs(path, &stat) == nil && (stat.Type == unix.CGROUP_SUPER_MAGIC || stat.Type == unix.CGROUP2_SUPER_MAGIC) {
			found = append(found, path)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no cgroup hierarchy is mounted in %s", cgroupRoot)
	}
	return found, nil
}

func (c *Cluster) makeCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		// The cluster's own processes get a leaf: in version 2 only leaves hold processes.
		if err := os.MkdirAll(filepath.Join(h, c.cgroup(), "system"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// roll is the hierarchy by which the cluster's processes are known: every container is in it, and what the processes
// start inherits it.
func roll() (string, error) {
	all, err := hierarchies()
	if err != nil {
		return "", err
	}
	for _, h := range all {
		if filepath.Base(h) == "pids" {
			return h, nil
		}
	}
	return all[0], nil
}

// enroll puts a process into the cgroup, and with it all that it will start.
func (c *Cluster) enroll(pid int) error {
	h, err := roll()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(h, c.cgroup(), "system", "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// members are the ids of all processes in the cgroup and below.
func (c *Cluster) members() ([]int, error) {
	h, err := roll()
	if err != nil {
		return nil, err
	}
	var pids []int
	err = filepath.WalkDir(filepath.Join(h, c.cgroup()), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "cgroup.procs" {
			return ignoreGone(err)
		}
		data, err := os.ReadFile(path)
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return ignoreGone(err)
	})
	return pids, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// killMembers ends containers, their shims and all else that the cluster started, but the sandbox.
func (c *Cluster) killMembers() error {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	var left []int
	err := wait.PollUntilContextCancel(ctx, killPoll, true, func(context.Context) (bool, error) {
		pids, err := c.members()
		left = left[:0]
		for _, pid := range pids {
			if pid == c.daemons[Sandbox].PID {
				continue
			}
			left = append(left, pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return len(left) == 0, err
	})
	if err != nil {
		return fmt.Errorf("processes %v are still there after SIGKILL: %w", left, err)
	}
	return nil
}

// removeCgroups removes the cgroup and all below it, which the kernel may hold for a moment after the last process.
func (c *Cluster) removeCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	for _, h := range all {
		top := filepath.Join(h, c.cgroup())
		var last error
		if err := wait.PollUntilContextCancel(ctx, killPoll, true, func(context.Context) (bool, error) {
			last = removeTree(top)
			return last == nil, nil
		}); err != nil {
			return fmt.Errorf("remove the cgroup %s: %w", top, last)
		}
	}
	return nil
}

// removeTree removes folders only: the files of a cgroup go with it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignoreGone(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return ignoreGone(unix.Rmdir(dir))
}
