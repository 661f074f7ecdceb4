// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"maps"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// entity is what a store holds in the place of an object.
type entity interface {
	metav1.ObjectMetaAccessor
	where() string
	// same is whether nothing that counts differs.
	same(entity) bool
	change() Change
}

// object is what stores need to know of anything.
type object struct{ namespace, name, version string }

func (o *object) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: o.namespace, Name: o.name, ResourceVersion: o.version}
}

func (o *object) where() string  { return o.namespace }
func (o *object) key() string    { return o.namespace + "/" + o.name }
func (o *object) change() Change { return Change{Namespace: o.namespace} }

// objectOf keeps one copy of the name of each namespace.
func objectOf(meta metav1.Object) object {
	return object{namespace: unique.Make(meta.GetNamespace()).Value(), name: meta.GetName(), version: meta.GetResourceVersion()}
}

// owner is the controller of a pod or a ReplicaSet; the zero owner is none.
type owner struct{ kind, name string }

// Kinds that pods have as owners, beside those of package rollout.
const (
	kindPod        = "Pod"
	kindReplicaSet = "ReplicaSet"
)

// ownerOf names the controller of an object. A kind of another group that has the name of one of Kubernetes is told apart.
func ownerOf(meta metav1.Object) unique.Handle[owner] {
	ref := metav1.GetControllerOfNoCopy(meta)
	if ref == nil {
		return unique.Make(owner{})
	}
	out := owner{ref.Kind, ref.Name}
	switch ref.Kind {
	case kindReplicaSet, rollout.Deployment, rollout.StatefulSet, rollout.DaemonSet:
		if gv, err := schema.ParseGroupVersion(ref.APIVersion); err != nil || gv.Group != appsv1.GroupName {
			out.kind += "." + gv.Group
		}
	}
	return unique.Make(out)
}

// pod is what is kept of a pod. Everything that pods have in common is kept once.
type pod struct {
	object
	podFacts
}

type podFacts struct {
	owner unique.Handle[owner]
	// template is a hash of what a StatefulSet or a DaemonSet made the pod from.
	template unique.Handle[string]
	// proxy is the zero one for a pod without.
	proxy unique.Handle[rollout.Proxy]
	// wants is that a proxy may be given to it, ours that Fairlead makes it.
	ready, terminates, wants, ours bool
}

func (p *pod) same(other entity) bool {
	o, ok := other.(*pod)
	return ok && p.podFacts == o.podFacts
}

func (p *pod) change() Change { return Change{p.namespace, p.proxy.Value().Revision} }

// workload is what is kept of a Deployment, StatefulSet or DaemonSet.
type workload struct {
	object
	workloadFacts
	// uid and generation are what a restart is for: of another one, or of another spec, it is to be decided anew.
	uid        types.UID
	generation int64
	// labels are those of its pods.
	labels map[string]string
}

type workloadFacts struct {
	kind               string
	replicas, disrupts int
	// settled is that its controller has seen its template, and counts as many pods of it as there are to be.
	settled bool
	// still is that its controller leaves pods as they are, whatever the template says.
	still bool
	// template names what the pods of the present template have in common; empty if that is not known.
	template                        string
	untouchable, cause, restartedAt string
	wants, ours                     bool
}

func (w *workload) same(other entity) bool {
	o, ok := other.(*workload)
	return ok && w.uid == o.uid && w.workloadFacts == o.workloadFacts && maps.Equal(w.labels, o.labels)
}

// replicaSet is the way from a pod to its Deployment.
type replicaSet struct {
	object
	replicaSetFacts
}

type replicaSetFacts struct {
	owner unique.Handle[owner]
	// template is the revision of its Deployment.
	template unique.Handle[string]
}

func (r *replicaSet) same(other entity) bool {
	o, ok := other.(*replicaSet)
	return ok && r.replicaSetFacts == o.replicaSetFacts
}

// budget is a PodDisruptionBudget.
type budget struct {
	object
	selector labels.Selector
	allowed  int
}

func (b *budget) same(other entity) bool {
	o, ok := other.(*budget)
	return ok && b.allowed == o.allowed && b.selector.String() == o.selector.String()
}

// trim is the transform of the informers.
func trim(obj any) (any, error) { return trimmed(obj), nil }

// trimmed makes of each object what is kept of it. What is trimmed already stays as it is.
func trimmed(obj any) any {
	switch o := obj.(type) {
	case *corev1.Pod:
		return trimPod(o)
	case *appsv1.Deployment:
		return trimDeployment(o)
	case *appsv1.StatefulSet:
		return trimStatefulSet(o)
	case *appsv1.DaemonSet:
		return trimDaemonSet(o)
	case *metav1.PartialObjectMetadata:
		template := unique.Make(o.Annotations[annotationDeploymentRevision])
		return &replicaSet{objectOf(o), replicaSetFacts{ownerOf(o), template}}
	case *policyv1.PodDisruptionBudget:
		return trimBudget(o)
	}
	return obj
}

// trimBudget: like the eviction API, it allows nothing until the status speaks of the spec.
func trimBudget(b *policyv1.PodDisruptionBudget) *budget {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		selector = labels.Nothing()
	}
	out := &budget{objectOf(b), selector, int(b.Status.DisruptionsAllowed)}
	if b.Status.ObservedGeneration < b.Generation {
		out.allowed = 0
	}
	return out
}

func partialReplicaSet() *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{}
	out.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kindReplicaSet))
	return out
}
