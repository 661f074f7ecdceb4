// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	// name is the loadBalancerClass that is served, beside none, and who reports the events.
	name           = "fairlead.io/address-pool"
	actionAllocate = "Allocate"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// allocator gives Services their addresses. It has one worker, which alone uses the book.
type allocator struct {
	client client.Client
	// live reads past the cache, which at the start may lack what an allocator before this one wrote last.
	live    client.Reader
	events  events.EventRecorder
	pool    *Pool
	adopted bool
	// queue is there from the start of the controller on.
	queue queue
}

func (a *allocator) setUp(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("addresspool").
		For(&corev1.Service{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: matters})).
		WatchesRawSource(source.Func(func(_ context.Context, q queue) error {
			a.queue = q
			return nil
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(a)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return nil
}

// matters says whether an update changed anything that a claim or its answer is made of.
func matters(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*corev1.Service)
	after, okAfter := e.ObjectNew.(*corev1.Service)
	return !ok || !okAfter || before.UID != after.UID ||
		!equality.Semantic.DeepEqual(relevant(before.Spec), relevant(after.Spec)) ||
		!equality.Semantic.DeepEqual(before.Status.LoadBalancer, after.Status.LoadBalancer)
}

// Reconcile makes the status of one Service show the address that the book says.
func (a *allocator) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := a.adopt(ctx); err != nil {
		return ctrl.Result{}, err
	}
	service := &corev1.Service{}
	err := a.client.Get(ctx, req.NamespacedName, service)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("get the Service: %w", err)
	}
	if apierrors.IsNotFound(err) || !served(service) {
		// The API server itself clears the status of a Service that changes its type.
		a.wake(a.pool.Release(req.NamespacedName))
		return ctrl.Result{}, nil
	}
	addr, refusal := a.pool.Take(claim(service))
	switch {
	case !shows(service, addr):
		if err := a.write(ctx, service, addr); err != nil {
			return ctrl.Result{}, err
		}
	case refusal != nil:
		// Not beside a write: the write comes back here, and it would be told twice.
		a.events.Eventf(service, nil, corev1.EventTypeWarning, refusal.Reason, actionAllocate, "%s", refusal.Message)
	}
	a.wake(a.pool.Keep(req.NamespacedName, addr))
	return ctrl.Result{}, nil
}

// adopt makes the book before the first allocation.
func (a *allocator) adopt(ctx context.Context) error {
	if a.adopted {
		return nil
	}
	var services corev1.ServiceList
	if err := a.live.List(ctx, &services); err != nil {
		return fmt.Errorf("list the Services for the book of addresses: %w", err)
	}
	var claims []Claim
	for i := range services.Items {
		if served(&services.Items[i]) {
			claims = append(claims, claim(&services.Items[i]))
		}
	}
	a.pool.Adopt(claims)
	a.adopted = true
	log.FromContext(ctx).Info("made the book of addresses", "services", len(claims))
	return nil
}

// write is a merge patch: it replaces the whole list, whoever wrote what is there.
func (a *allocator) write(ctx context.Context, service *corev1.Service, addr netip.Addr) error {
	before := service.DeepCopy()
	service.Status.LoadBalancer.Ingress = ingress(addr)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := a.client.Status().Patch(ctx, service, patch); err != nil {
		return fmt.Errorf("write the address to the status: %w", err)
	}
	log.FromContext(ctx).Info("wrote the status", "address", addr.String())
	return nil
}

func (a *allocator) wake(owners []types.NamespacedName) {
	for _, owner := range owners {
		a.queue.Add(reconcile.Request{NamespacedName: owner})
	}
}

func served(service *corev1.Service) bool {
	class := service.Spec.LoadBalancerClass
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && (class == nil || *class == name)
}

func claim(service *corev1.Service) Claim {
	c := Claim{
		Owner:   client.ObjectKeyFromObject(service),
		Created: service.CreationTimestamp.Time,
		Request: service.Spec.LoadBalancerIP,
	}
	if shown := service.Status.LoadBalancer.Ingress; len(shown) > 0 {
		// What does not parse is zero, none of the pool's.
		c.Has, _ = netip.ParseAddr(shown[0].IP)
	}
	return c
}

func shows(service *corev1.Service, addr netip.Addr) bool {
	return equality.Semantic.DeepEqual(service.Status.LoadBalancer.Ingress, ingress(addr))
}

func ingress(addr netip.Addr) []corev1.LoadBalancerIngress {
	if !addr.IsValid() {
		return nil
	}
	return []corev1.LoadBalancerIngress{{IP: addr.String(), IPMode: new(corev1.LoadBalancerIPModeVIP)}}
}

// relevant is what the controller reads of a spec.
func relevant(spec corev1.ServiceSpec) corev1.ServiceSpec {
	return corev1.ServiceSpec{Type: spec.Type, LoadBalancerClass: spec.LoadBalancerClass, LoadBalancerIP: spec.LoadBalancerIP}
}

// trim is what the cache keeps of a Service.
func trim(object any) (any, error) {
	service, ok := object.(*corev1.Service)
	if !ok {
		return object, nil
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name, UID: service.UID,
			ResourceVersion: service.ResourceVersion, CreationTimestamp: service.CreationTimestamp,
		},
		Spec:   relevant(service.Spec),
		Status: corev1.ServiceStatus{LoadBalancer: service.Status.LoadBalancer},
	}, nil
}
