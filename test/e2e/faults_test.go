// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/fairlead/fairlead/test/cluster"
	"github.com/fairlead/fairlead/test/controlplane"
)

// TestContainerdRestarts kills containerd under the operator: its pods run on, and what drifts meanwhile is repaired.
func TestContainerdRestarts(t *testing.T) {
	node := ownNode(t)
	label := name(t, "containerd")
	names := namespaces(t, label, 20)
	p := policy(t, label, maxMemory("512Mi"))
	ready(t, p, len(names))
	before := containers(t)
	if err := node.Restart(t.Context(), cluster.Containerd); err != nil {
		t.Fatal(err)
	}
	raise(t, names[0], "8Gi")
	lowered(t, names[0], "512Mi")
	if after := containers(t); len(after) != len(before) {
		t.Errorf("containers of the operator were %v, now %v", before, after)
	} else {
		for id := range before {
			if !after[id] {
				t.Errorf("container %s of the operator was replaced", id)
			}
		}
	}
	// The node takes new pods as before.
	d := echo(names[1], "64Mi")
	create(t, d)
	available(t, d)
	ready(t, p, len(names))
}

// TestAPIServerRestarts kills the API server between an edit and its repair.
func TestAPIServerRestarts(t *testing.T) {
	node := ownNode(t)
	label := name(t, "apiserver")
	names := namespaces(t, label, 20)
	p := policy(t, label, maxMemory("512Mi"))
	ready(t, p, len(names))
	for _, edited := range names[:3] {
		raise(t, edited, "8Gi")
	}
	if err := node.RestartControlPlane(t.Context(), controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	raise(t, names[3], "8Gi")
	for _, edited := range names[:4] {
		lowered(t, edited, "512Mi")
	}
	ready(t, p, len(names))
	operatorPods(t)
}

// containers are the ids of the operator's.
func containers(t *testing.T) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, pod := range operatorPods(t) {
		for _, s := range pod.Status.ContainerStatuses {
			ids[s.ContainerID] = true
		}
	}
	return ids
}
