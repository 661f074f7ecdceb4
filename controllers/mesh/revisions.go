// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
)

// maxRevisions bounds the revisions in a status.
const maxRevisions = 8

// runningVersion is that of the control plane that injects. While it does not, it is the one that did last, for as long as
// that is there.
func (j *judge) runningVersion() string {
	if j.outcome.revision != "" && j.outcome.result.Desired > 0 && j.serving() == conditions.DoesNotApply {
		return j.outcome.version.String()
	}
	if slices.ContainsFunc(j.revisions, func(i installed) bool { return i.version.String() == j.mesh.Status.RunningVersion }) {
		return j.mesh.Status.RunningVersion
	}
	return ""
}

// revisionStates are the control planes of the mesh, the one that is in force first.
func (j *judge) revisionStates() []v1alpha1.MeshRevision {
	workloads := map[string]map[string]bool{}
	for _, pod := range j.pods {
		if revision, ok := revisionOf(pod); ok {
			if workloads[revision] == nil {
				workloads[revision] = map[string]bool{}
			}
			workloads[revision][workload(pod)] = true
		}
	}
	// The version of the one that was applied is known for certain, and by this status to whom comes after us.
	there := slices.DeleteFunc(slices.Clone(j.revisions), func(i installed) bool { return i.revision == j.outcome.revision })
	if j.outcome.revision != "" {
		there = append(there, installed{j.outcome.revision, j.outcome.version})
	}
	var out []v1alpha1.MeshRevision
	for _, i := range there {
		out = append(out, v1alpha1.MeshRevision{
			Name: i.revision, Version: i.version.String(), State: j.state(i.revision),
			Workloads: int32(len(workloads[i.revision])), Namespaces: j.namespaces[i.revision],
		})
	}
	slices.SortFunc(out, func(a, b v1alpha1.MeshRevision) int {
		return cmp.Or(boolOrder(a.Name == j.outcome.revision, b.Name == j.outcome.revision), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxRevisions)]
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// state is how it is with a revision.
func (j *judge) state(revision string) v1alpha1.RevisionState {
	if revision != j.outcome.revision {
		return v1alpha1.RevisionRetiring
	}
	ready := rolledOut(j.deployments[types.NamespacedName{Namespace: string(j.mesh.Spec.Namespace), Name: deploymentPrefix + revision}]) &&
		j.serving() == conditions.DoesNotApply
	if ready {
		return v1alpha1.RevisionReady
	}
	for _, before := range j.mesh.Status.Revisions {
		if before.Name == revision && before.State != v1alpha1.RevisionInstalling {
			return v1alpha1.RevisionFailing
		}
	}
	return v1alpha1.RevisionInstalling
}
