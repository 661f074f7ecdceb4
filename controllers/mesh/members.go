// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// What Istio reads from the labels of a namespace.
const (
	labelRevision  = "istio.io/rev"
	labelDataplane = "istio.io/dataplane-mode"
)

// memberOf is the mesh that a namespace is a member of; nil for none. Of several that select it, it is the oldest one.
func memberOf(namespace *metav1.PartialObjectMetadata, own string, all []v1alpha1.Mesh) *v1alpha1.Mesh {
	name := namespace.Name
	if name == own || strings.HasPrefix(name, "kube-") || name == "openshift" || strings.HasPrefix(name, "openshift-") {
		return nil
	}
	var found *v1alpha1.Mesh
	for i := range all {
		mesh := &all[i]
		if string(mesh.Spec.Namespace) == name {
			return nil
		}
		older := found == nil || cmp.Or(mesh.CreationTimestamp.Compare(found.CreationTimestamp.Time), cmp.Compare(mesh.Name, found.Name)) < 0
		if older && selects(mesh, namespace) {
			found = mesh
		}
	}
	return found
}

// selects reports whether a mesh wants a namespace. One that is being deleted wants none: what restarts now shall come
// back without a proxy of it.
func selects(mesh *v1alpha1.Mesh, namespace *metav1.PartialObjectMetadata) bool {
	members := mesh.Spec.Members
	if members == nil || mesh.DeletionTimestamp != nil || slices.Contains(members.Exclude, v1alpha1.NamespaceName(namespace.Name)) {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(members.NamespaceSelector.LabelSelector())
	return err == nil && selector.Matches(labels.Set(namespace.Labels))
}

// memberLabels are the labels that a member of a mesh has, besides those of others. A namespace joins, or moves from a
// revision that is not there any more, when the control plane injects; until then it stays as it is.
func memberLabels(mesh *v1alpha1.Mesh, namespace *metav1.PartialObjectMetadata) map[string]string {
	revision := namespace.Labels[labelRevision]
	known := slices.ContainsFunc(mesh.Status.Revisions, func(r v1alpha1.MeshRevision) bool { return r.Name == revision })
	if !known || !rollout.Owns(mesh.Name, revision) {
		revision = readyRevision(mesh)
	}
	if revision == "" {
		return nil
	}
	out := map[string]string{labelMesh: mesh.Name, labelRevision: revision}
	if mesh.Spec.Profile == v1alpha1.ProfileAmbient {
		out[labelDataplane] = "ambient"
	}
	return out
}

// readyRevision is the one that injects, empty for none.
func readyRevision(mesh *v1alpha1.Mesh) string {
	for _, r := range mesh.Status.Revisions {
		if r.State == v1alpha1.RevisionReady {
			return r.Name
		}
	}
	return ""
}
