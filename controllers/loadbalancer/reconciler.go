// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/loadbalancer/compile"
	"github.com/fairlead/fairlead/controllers/loadbalancer/render"
)

// cacheWait is how soon to look again where a cache is behind: after the start that of ReferenceGrants, and after a
// write that of load balancers.
const cacheWait = 100 * time.Millisecond

// reconciler keeps the objects of a load balancer equal to what it asks for.
type reconciler struct {
	client                   client.Client
	engine                   *apply.Engine
	ledger                   *ledger
	grants                   *grants
	agentImage, haproxyImage string
}

// observed is everything that decides what a load balancer gets.
type observed struct {
	lb       *v1alpha1.LoadBalancer
	services map[types.NamespacedName]*corev1.Service
	grants   []*gatewayv1beta1.ReferenceGrant
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	lb := &v1alpha1.LoadBalancer{}
	err := r.client.Get(ctx, request.NamespacedName, lb)
	switch {
	case apierrors.IsNotFound(err):
		return r.remove(ctx, request.NamespacedName, nil)
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("get load balancer: %w", err)
	case lb.DeletionTimestamp != nil:
		return r.remove(ctx, request.NamespacedName, lb)
	}
	seen, known, err := r.observe(ctx, lb)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !known {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	out, err := r.apply(ctx, seen)
	if errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	r.ledger.applied(request.NamespacedName, out)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: out.result.RequeueAfter}, nil
}

// observe gathers what a load balancer refers to; known is false while it is not certain what is granted.
func (r *reconciler) observe(ctx context.Context, lb *v1alpha1.LoadBalancer) (seen observed, known bool, err error) {
	seen = observed{lb: lb, services: map[types.NamespacedName]*corev1.Service{}}
	services, namespaces := compile.References(lb.Namespace, &lb.Spec)
	for _, name := range services {
		service := &corev1.Service{}
		err := r.client.Get(ctx, name, service, client.UnsafeDisableDeepCopy)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return seen, false, fmt.Errorf("get service %s: %w", name, err)
		}
		seen.services[name] = service
	}
	seen.grants, known = r.grants.in(namespaces)
	return seen, known, nil
}

// apply compiles, renders and applies.
func (r *reconciler) apply(ctx context.Context, seen observed) (outcome, error) {
	lb := seen.lb
	out := outcome{uid: lb.UID, generation: lb.Generation}
	compiled := compile.Compile(compile.Input{
		Namespace: lb.Namespace, Name: lb.Name, Generation: lb.Generation, Spec: &lb.Spec, Services: seen.services, Grants: seen.grants,
	})
	model, err := compiled.Encode()
	out.problems = compiled.Problems
	switch {
	case r.agentImage == "":
		out.stuck = stuck{v1alpha1.ReasonNoImage, "the operator does not know the image of agents: start it with --agent-image"}
	case err != nil:
		out.stuck = stuck{v1alpha1.ReasonInvalidSpec, err.Error()}
	}
	if out.stuck != (stuck{}) {
		return out, nil
	}
	out.hash = render.Hash(model)
	abroad := len(compiled.EndpointNamespaces)+len(compiled.SecretNamespaces) > 0
	if abroad && !paused(lb) {
		if err := r.hold(ctx, lb); err != nil {
			out.failure = conditions.FailureClass(err)
			return out, err
		}
	}
	if key := client.ObjectKeyFromObject(lb); r.ledger.replaced(key, lb.UID) {
		// What went with the earlier one was taken by nobody.
		r.engine.Renew(setKey(key))
	}
	out.result, err = r.engine.Apply(ctx, r.set(lb, render.Objects(render.Input{
		Namespace: lb.Namespace, Name: lb.Name, UID: lb.UID, Spec: &lb.Spec, Model: model,
		AgentImage: r.agentImage, HAProxyImage: r.haproxyImage,
		EndpointNamespaces: compiled.EndpointNamespaces, SecretNamespaces: compiled.SecretNamespaces,
	})))
	if err == nil && !abroad && !paused(lb) {
		err = r.release(ctx, lb)
	}
	out.failure = conditions.FailureClass(err)
	return out, err
}

func (r *reconciler) set(lb *v1alpha1.LoadBalancer, objects []render.Object) apply.Set {
	set := apply.Set{Key: setKey(client.ObjectKeyFromObject(lb)), Paused: paused(lb)}
	if lb.Spec.Drift == v1alpha1.Warn {
		set.Mode = apply.Warn
	}
	for _, object := range objects {
		set.Objects = append(set.Objects, object)
	}
	return set
}
