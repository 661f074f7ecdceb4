// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// reportDelay gathers the events of a namespace's pods into one report.
const reportDelay = 500 * time.Millisecond

type queue = pace.Queue

// watches turns events into requests.
type watches struct {
	client client.Reader
	book   *book
	ledger *ledger
}

func partialNamespace() client.Object {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(namespaces)
	return namespace
}

// namespaceEvents asks for a namespace that appears, goes, or changes the labels that selectors look at. One that was
// made anew while the watch was down comes as an update.
func (w *watches) namespaceEvents() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if e.IsInInitialList {
				addLow(q, e.Object.GetName())
			} else {
				q.Add(requestFor(e.Object.GetName()))
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if namespaceChanged(e.ObjectOld, e.ObjectNew) {
				q.Add(requestFor(e.ObjectNew.GetName()))
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { q.Add(requestFor(e.Object.GetName())) },
	}
}

func namespaceChanged(before, after client.Object) bool {
	return before.GetUID() != after.GetUID() || !maps.Equal(before.GetLabels(), after.GetLabels()) ||
		(before.GetDeletionTimestamp() == nil) != (after.GetDeletionTimestamp() == nil)
}

// selectionEvents asks for every policy when namespaces come, go or change their labels: the number that a
// policy selects may change. The trigger's delay makes one round of many.
func (w *watches) selectionEvents() handler.EventHandler {
	all := func(ctx context.Context, q queue) {
		var policies v1alpha1.LimitPolicyList
		if err := w.client.List(ctx, &policies, client.UnsafeDisableDeepCopy); err != nil {
			return
		}
		for i := range policies.Items {
			q.AddAfter(requestFor(policies.Items[i].Name), pace.Gather)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList {
				all(ctx, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if namespaceChanged(e.ObjectOld, e.ObjectNew) {
				all(ctx, q)
			}
		},
		DeleteFunc: func(ctx context.Context, _ event.DeleteEvent, q queue) { all(ctx, q) },
	}
}

// policyEvents asks for the namespaces that a policy selects, and for those that it selected before. They
// are many and nobody waits for one in particular, so repairs go first.
func (w *watches) policyEvents() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // At the start every namespace is asked for anyway.
				w.addConcerned(ctx, q, e.Object)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if policyChanged(e.ObjectOld, e.ObjectNew) {
				w.addConcerned(ctx, q, e.ObjectOld)
				w.addConcerned(ctx, q, e.ObjectNew)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { w.addConcerned(ctx, q, e.Object) },
	}
}

// addConcerned asks for the namespaces that a policy has a part in: those that are known to have been
// covered for it, and those that its spec selects, which may be under way just now.
func (w *watches) addConcerned(ctx context.Context, q queue, object client.Object) {
	for _, name := range w.ledger.concerns(object.GetUID()) {
		addLow(q, name)
	}
	page, err := read(object.(*v1alpha1.LimitPolicy))
	if err != nil {
		return
	}
	all := &metav1.PartialObjectMetadataList{}
	all.SetGroupVersionKind(namespaceLists)
	if err := w.client.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot list the namespaces of a policy", "policy", object.GetName())
		return
	}
	for i := range all.Items {
		if w.book.selects(page, &all.Items[i]) {
			addLow(q, all.Items[i].Name)
		}
	}
}

func policyChanged(before, after client.Object) bool {
	return before.GetGeneration() != after.GetGeneration() || before.GetUID() != after.GetUID() ||
		before.GetAnnotations()[v1alpha1.AnnotationPaused] != after.GetAnnotations()[v1alpha1.AnnotationPaused] ||
		(before.GetDeletionTimestamp() == nil) != (after.GetDeletionTimestamp() == nil)
}

// specOrPauseChanged lets no status write of our own through.
func specOrPauseChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return policyChanged(e.ObjectOld, e.ObjectNew) }}
}

func requestFor(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

func addLow(q queue, name string) {
	if ordered, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		low := handler.LowPriority
		ordered.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, requestFor(name))
		return
	}
	q.Add(requestFor(name))
}

// namespaceOf asks for the namespace of an object that comes, goes, or changes in what a report reads.
func namespaceOf(t *pace.Trigger) handler.EventHandler {
	add := func(object client.Object, q queue) { q.AddAfter(requestFor(object.GetNamespace()), t.Delay) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if subjectChanged(e.ObjectOld, e.ObjectNew) {
				add(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { add(e.Object, q) },
	}
}
