// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"context"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/pace"
	"github.com/fairlead/fairlead/controllers/loadbalancer/compile"
)

// Indexes of load balancers by what they refer to.
const (
	// indexService is by namespace/name of the Services of members.
	indexService = "services"
	// indexNamespace is by the other namespaces that it refers to.
	indexNamespace = "namespaces"
	// indexOwner is of agent reports, by the name of their load balancer.
	indexOwner = "loadBalancer"
)

// keyPrefix begins the keys of sets: lb/<namespace>/<name>.
const keyPrefix = "lb/"

func setKey(of types.NamespacedName) string { return keyPrefix + of.String() }

// requestOf is the request of the load balancer that a set belongs to.
func requestOf(set string) (reconcile.Request, bool) {
	rest, ours := strings.CutPrefix(set, keyPrefix)
	namespace, name, whole := strings.Cut(rest, "/")
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}, ours && whole
}

func servicesOf(object client.Object) []string {
	lb := object.(*v1alpha1.LoadBalancer)
	services, _ := compile.References(lb.Namespace, &lb.Spec)
	out := make([]string, 0, len(services))
	for _, name := range services {
		out = append(out, name.String())
	}
	return out
}

func namespacesOf(object client.Object) []string {
	lb := object.(*v1alpha1.LoadBalancer)
	_, namespaces := compile.References(lb.Namespace, &lb.Spec)
	return namespaces
}

func ownerOf(object client.Object) []string {
	return []string{object.(*v1alpha1.AgentReport).Report.LoadBalancer}
}

// watches turns events into requests.
type watches struct {
	client client.Reader

	mu    sync.Mutex
	queue pace.Queue
}

// start is the function of a source.Func.
func (w *watches) start(_ context.Context, queue pace.Queue) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = queue
	return nil
}

// referrers are the load balancers with a Service as a member.
func (w *watches) referrers(ctx context.Context, service client.Object) []reconcile.Request {
	return w.matching(ctx, client.MatchingFields{indexService: client.ObjectKeyFromObject(service).String()})
}

// grantsChanged asks for the load balancers that refer to a namespace whose ReferenceGrants changed.
func (w *watches) grantsChanged(ctx context.Context, namespace string) {
	w.mu.Lock()
	queue := w.queue
	w.mu.Unlock()
	if queue == nil {
		return
	}
	for _, request := range w.matching(ctx, client.MatchingFields{indexNamespace: namespace}) {
		queue.Add(request)
	}
}

func (w *watches) matching(ctx context.Context, fields client.MatchingFields) []reconcile.Request {
	var list v1alpha1.LoadBalancerList
	if err := w.client.List(ctx, &list, fields, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot list load balancers by what they refer to")
		return nil
	}
	out := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}

// ofReport asks for the load balancer of a report.
func ofReport(_ context.Context, object client.Object) []reconcile.Request {
	report := object.(*v1alpha1.AgentReport)
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: report.Namespace, Name: report.Report.LoadBalancer}}}
}

// ofInstance asks for the load balancer of one of its objects, by the object's name.
func ofInstance(_ context.Context, object client.Object) []reconcile.Request {
	name, ours := strings.CutSuffix(object.GetName(), "-lb")
	if !ours {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}

// wishesChanged lets no status write of our own through.
func wishesChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return before.GetGeneration() != after.GetGeneration() || before.GetUID() != after.GetUID() || paused(before) != paused(after) ||
			(before.GetDeletionTimestamp() == nil) != (after.GetDeletionTimestamp() == nil) ||
			slices.Contains(before.GetFinalizers(), finalizer) != slices.Contains(after.GetFinalizers(), finalizer)
	}}
}

func paused(object client.Object) bool {
	return object.GetAnnotations()[v1alpha1.AnnotationPaused] == "true"
}

// portsChanged lets Services through whose ports, type or address changed.
func portsChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Service)
		after, alsoOK := e.ObjectNew.(*corev1.Service)
		return !ok || !alsoOK || !equality.Semantic.DeepEqual(before.Spec, after.Spec)
	}}
}
