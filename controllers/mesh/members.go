// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// What Istio reads from the labels of a namespace.
const (
	labelRevision  = "istio.io/rev"
	labelDataplane = "istio.io/dataplane-mode"
	// labelInjection chooses the control plane without a revision, or none; it goes before a revision.
	labelInjection = "istio-injection"
)

// labelAmbientRevision names the revision of a namespace whose pods have no sidecars.
const labelAmbientRevision = "fleet.fairlead.io/mesh-revision"

// labelTag is on a webhook that is a tag of a revision.
const labelTag = "istio.io/tag"

// memberOf is the mesh that a namespace is a member of; nil for none. Of several that select it, it is the oldest one.
func (s *selections) memberOf(namespace *metav1.PartialObjectMetadata, own string, all []v1alpha1.Mesh) *v1alpha1.Mesh {
	for i := range all {
		if mesh := &all[i]; s.wants(mesh, namespace) && s.isMember(namespace, own, all, mesh) {
			return mesh
		}
	}
	return nil
}

// isMember reports whether a namespace that a mesh selects is its member: no other one has it, or comes first.
func (s *selections) isMember(namespace *metav1.PartialObjectMetadata, own string, all []v1alpha1.Mesh, mesh *v1alpha1.Mesh) bool {
	name := namespace.Name
	if name == own || strings.HasPrefix(name, "kube-") || name == "openshift" || strings.HasPrefix(name, "openshift-") {
		return false
	}
	for i := range all {
		other := &all[i]
		if string(other.Spec.Namespace) == name {
			return false
		}
		older := cmp.Or(other.CreationTimestamp.Compare(mesh.CreationTimestamp.Time), cmp.Compare(other.Name, mesh.Name)) < 0
		if older && s.wants(other, namespace) {
			return false
		}
	}
	return true
}

// selections are the selectors of meshes, made once of each spec. It is safe for concurrent use.
type selections struct {
	mu    sync.Mutex
	known map[types.UID]chosen
}

type chosen struct {
	generation int64
	selector   labels.Selector
}

// wants reports whether a mesh selects a namespace. One that is being deleted wants none: what restarts now shall come back
// without a proxy of it.
func (s *selections) wants(mesh *v1alpha1.Mesh, namespace *metav1.PartialObjectMetadata) bool {
	members := mesh.Spec.Members
	if members == nil || mesh.DeletionTimestamp != nil {
		return false
	}
	return s.selector(mesh).Matches(labels.Set(namespace.Labels)) && !slices.Contains(members.Exclude, v1alpha1.NamespaceName(namespace.Name))
}

func (s *selections) selector(mesh *v1alpha1.Mesh) labels.Selector {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[mesh.UID]; ok && known.generation == mesh.Generation {
		return known.selector
	}
	selector, err := metav1.LabelSelectorAsSelector(mesh.Spec.Members.NamespaceSelector.LabelSelector())
	if err != nil {
		// The API has refused it already.
		selector = labels.Nothing()
	}
	if s.known == nil {
		s.known = map[types.UID]chosen{}
	}
	s.known[mesh.UID] = chosen{mesh.Generation, selector}
	return selector
}

// forget drops what is known of meshes that are not there.
func (s *selections) forget(all []v1alpha1.Mesh) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) <= len(all) {
		return
	}
	there := map[types.UID]bool{}
	for i := range all {
		there[all[i].UID] = true
	}
	maps.DeleteFunc(s.known, func(uid types.UID, _ chosen) bool { return !there[uid] })
}

// memberLabels are the labels that a member of a mesh has, besides those of others, where it names a revision.
func memberLabels(mesh *v1alpha1.Mesh, revision string) map[string]string {
	if revision == "" {
		return nil
	}
	out := map[string]string{labelMesh: mesh.Name, revisionLabel(mesh): revision}
	if ambient(mesh) {
		out[labelDataplane] = "ambient"
	}
	return out
}

func ambient(mesh *v1alpha1.Mesh) bool { return mesh.Spec.Profile == v1alpha1.ProfileAmbient }

// revisionLabel is the label by which members of a mesh name their revision. By Istio's own, istiod would give sidecars to pods that
// ztunnel serves.
func revisionLabel(mesh *v1alpha1.Mesh) string {
	if ambient(mesh) {
		return labelAmbientRevision
	}
	return labelRevision
}
