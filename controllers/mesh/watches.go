// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/controllers/mesh/workloads"
)

// keyPrefix begins the keys of sets of one mesh, sharedPrefix those of sets that meshes share.
const (
	keyPrefix    = "mesh/"
	sharedPrefix = "mesh-shared/"
)

func setKey(mesh string) string { return keyPrefix + mesh }

// requestOf is the request of the mesh that a set belongs to.
func requestOf(set string) (reconcile.Request, bool) {
	name, ours := strings.CutPrefix(set, keyPrefix)
	return named(name), ours
}

// sharedRequestOf is the request of a set that meshes share.
func sharedRequestOf(set string) (reconcile.Request, bool) {
	name, ours := strings.CutPrefix(set, sharedPrefix)
	return named(name), ours
}

func named(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// watches turns events into requests.
type watches struct {
	client     client.Reader
	selections *selections
	ledger     *ledger
}

// all are the meshes that pass a test.
func (w *watches) all(ctx context.Context, test func(*v1alpha1.Mesh) bool) []reconcile.Request {
	var list v1alpha1.MeshList
	if err := w.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot list meshes")
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if test(&list.Items[i]) {
			out = append(out, named(list.Items[i].Name))
		}
	}
	return out
}

// others asks for the other meshes when one comes, goes or is another one now: which one is the first, and which one
// holds a namespace, depends on all.
func (w *watches) others() handler.EventHandler {
	ask := func(ctx context.Context, mesh client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range w.all(ctx, func(other *v1alpha1.Mesh) bool { return other.Name != mesh.GetName() }) {
			queue.Add(request)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if !e.IsInInitialList {
				ask(ctx, e.Object, queue)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			ask(ctx, e.Object, queue)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			// Another spec may select other namespaces; so does a deletion, which is another generation.
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() || e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				ask(ctx, e.ObjectNew, queue)
			}
		},
	}
}

// inNamespace are the meshes whose control plane a namespace has.
func (w *watches) inNamespace(ctx context.Context, namespace client.Object) []reconcile.Request {
	return w.all(ctx, func(mesh *v1alpha1.Mesh) bool { return string(mesh.Spec.Namespace) == namespace.GetName() })
}

// inNamespaceOf are the meshes whose control plane is in the namespace of an object.
func (w *watches) inNamespaceOf(ctx context.Context, object client.Object) []reconcile.Request {
	return w.all(ctx, func(mesh *v1alpha1.Mesh) bool { return string(mesh.Spec.Namespace) == object.GetNamespace() })
}

// concerned are the meshes that a namespace is a member of or may be, and those with a revision that it names, or that one of
// its pods has a proxy of.
func (w *watches) concerned(ctx context.Context, namespace *metav1.PartialObjectMetadata, revision string) []reconcile.Request {
	return w.all(ctx, func(mesh *v1alpha1.Mesh) bool {
		return w.selections.wants(mesh, namespace) || w.ledger.concerns(mesh.Name, mesh.UID, namespace.Name) || namespace.Labels[labelMesh] == mesh.Name ||
			rollout.Owns(mesh.Name, namespace.Labels[revisionLabel(mesh)]) || rollout.Owns(mesh.Name, revision)
	})
}

// ofNamespace asks for the meshes that a namespace concerns, or concerned before it changed.
func (w *watches) ofNamespace() handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		namespace, ok := object.(*metav1.PartialObjectMetadata)
		if !ok {
			return nil
		}
		return w.concerned(ctx, namespace, "")
	})
}

// ofChange are the meshes that a change to workloads concerns.
func (w *watches) ofChange(ctx context.Context, change workloads.Change) []reconcile.Request {
	namespace := partial(namespaces)
	if err := w.client.Get(ctx, client.ObjectKey{Name: change.Namespace}, namespace); err != nil {
		// It is gone; what it had may have been a proxy.
		namespace = partial(namespaces)
		namespace.SetName(change.Namespace)
	}
	return w.concerned(ctx, namespace, change.Revision)
}

// ofPart is the mesh of one of its objects. What somebody else injects by concerns all.
func (w *watches) ofPart(ctx context.Context, object client.Object) []reconcile.Request {
	if mesh := object.GetLabels()[labelMesh]; mesh != "" {
		return []reconcile.Request{named(mesh)}
	}
	if webhook, ok := object.(*admissionv1.MutatingWebhookConfiguration); ok && injectsByDefault(webhook) {
		return w.all(ctx, func(*v1alpha1.Mesh) bool { return true })
	}
	return nil
}

// heeded are the annotations of a mesh that count.
var heeded = []string{v1alpha1.AnnotationPaused, v1alpha1.AnnotationAdopt, v1alpha1.AnnotationRetry}

// wishesChanged lets no status write of our own through.
func wishesChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return before.GetGeneration() != after.GetGeneration() || before.GetUID() != after.GetUID() ||
			slices.ContainsFunc(heeded, func(key string) bool { return before.GetAnnotations()[key] != after.GetAnnotations()[key] }) ||
			(before.GetDeletionTimestamp() == nil) != (after.GetDeletionTimestamp() == nil) ||
			slices.Contains(before.GetFinalizers(), finalizer) != slices.Contains(after.GetFinalizers(), finalizer)
	}}
}

// goes lets namespaces through that go or are gone; one that appears is nobody's concern.
func goes() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool { return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() },
	}
}

// relabelled lets namespaces through that come, go or have other labels.
func relabelled() predicate.Predicate {
	return predicate.Or[client.Object](predicate.LabelChangedPredicate{}, predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return (e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
		},
	})
}

func paused(object metav1.Object) bool {
	return object.GetAnnotations()[v1alpha1.AnnotationPaused] == "true"
}
