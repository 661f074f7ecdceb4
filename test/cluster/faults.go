// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/test/controlplane"
)

// WithoutControlPlane kills a component of the control plane, does something, and returns when the component serves again.
func (c *Cluster) WithoutControlPlane(ctx context.Context, component controlplane.Component, do func(context.Context) error) error {
	if err := c.plane.Kill(component); err != nil {
		return err
	}
	return errors.Join(do(ctx), c.plane.Restart(ctx, component))
}

// KillContainers kills all processes of a pod's containers. What holds its network goes on, so it stays the same pod.
func (c *Cluster) KillContainers(podUID string) error {
	all, err := c.members()
	if err != nil {
		return err
	}
	killed := 0
	for _, pid := range all {
		ours, err := inContainer(pid, podUID)
		if err != nil {
			return err
		}
		if !ours {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
		killed++
	}
	if killed == 0 {
		return fmt.Errorf("pod %s has no containers on the node", podUID)
	}
	return nil
}

// inContainer reports whether a process is of a pod, and not the one that holds the pod's namespaces.
func inContainer(pid int, podUID string) (bool, error) {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err == nil && !strings.Contains(string(groups), "pod"+podUID) {
		return false, nil
	}
	var name []byte
	if err == nil {
		name, err = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	return strings.TrimSpace(string(name)) != "pause", err
}
