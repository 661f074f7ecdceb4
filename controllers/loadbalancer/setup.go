// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package loadbalancer makes and keeps what LoadBalancers ask for, but for what runs in their pods: that is the
// agent's.
//
// Two reconcilers share a ledger, both keyed by LoadBalancer: one applies its objects, one writes its status.
//
//	observe ──▶ compile ──▶ render ──▶ apply ──▶ ledger ──▶ status
package loadbalancer

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/backoff"
	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// statusWorkers is how many statuses are written at the same time: so many that hundreds of load balancers that come at
// once need not wait for theirs, and few enough to leave the API server to the repairs.
const statusWorkers = 4

// Options are what the controllers need beside a manager.
type Options struct {
	// Engine applies the sets; it must know Kinds.
	Engine *apply.Engine
	// AgentImage is the operator's own image; HAProxyImage is the one of load balancers that name none.
	AgentImage, HAProxyImage string
	// Workers is how many load balancers are applied at the same time.
	Workers int
}

// SetupWithManager adds the controllers to a manager.
func SetupWithManager(mgr ctrl.Manager, options Options) error {
	own, err := ownCache(mgr)
	if err != nil {
		return err
	}
	grants, err := newGrants(mgr)
	if err != nil {
		return err
	}
	if err := addIndexes(mgr); err != nil {
		return err
	}
	ledger, statuses := newLedger(), pace.NewTrigger(pace.Gather)
	ledger.changed = statuses.Fire
	watches := &watches{client: mgr.GetClient()}
	grants.changed = watches.grantsChanged
	b := ctrl.NewControllerManagedBy(mgr).Named("loadbalancer").
		For(&v1alpha1.LoadBalancer{}, builder.WithPredicates(wishesChanged())).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(watches.referrers), builder.WithPredicates(portsChanged())).
		WatchesRawSource(source.Func(watches.start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.Workers, RateLimiter: backoff.Limiter()})
	for _, kind := range Kinds() {
		b = b.WatchesRawSource(options.Engine.Source(kind.GVK, func(object *apply.Object) (reconcile.Request, bool) {
			return requestOf(options.Engine.SetOf(kind.GVK, object))
		}))
	}
	err = b.Complete(&reconciler{
		client: mgr.GetClient(), engine: options.Engine, ledger: ledger, grants: grants,
		agentImage: options.AgentImage, haproxyImage: options.HAProxyImage,
	})
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).Named("loadbalancer-status").
		For(&v1alpha1.LoadBalancer{}, builder.WithPredicates(wishesChanged())).
		Watches(&v1alpha1.AgentReport{}, handler.EnqueueRequestsFromMapFunc(ofReport)).
		WatchesRawSource(source.Kind[client.Object](own, &appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(ofInstance))).
		WatchesRawSource(source.Kind[client.Object](own, &corev1.Service{}, handler.EnqueueRequestsFromMapFunc(ofInstance))).
		WatchesRawSource(source.Func(statuses.Start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: statusWorkers, RateLimiter: backoff.Limiter()}).
		Complete(&statusReconciler{
			client: mgr.GetClient(), own: own, ledger: ledger, events: mgr.GetEventRecorder(v1alpha1.ManagedBy), began: statuses.Began,
		})
	if err != nil {
		return fmt.Errorf("set up the status controller: %w", err)
	}
	return nil
}

// ownCache holds the Deployments and Services of load balancers with their status. The manager's cache has those of
// everybody, and of each only what others look at.
func ownCache(mgr ctrl.Manager) (cache.Cache, error) {
	own, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), DefaultLabelSelector: ofLoadBalancers(),
		ByObject: map[client.Object]cache.ByObject{&appsv1.Deployment{}: {Transform: trimDeployment}, &corev1.Service{}: {Transform: trimOwnService}},
	})
	if err != nil {
		return nil, fmt.Errorf("build the cache of Deployments and Services: %w", err)
	}
	if err := mgr.Add(own); err != nil {
		return nil, fmt.Errorf("add the cache of Deployments and Services: %w", err)
	}
	return own, nil
}

func newGrants(mgr ctrl.Manager) (*grants, error) {
	objects, err := dynamic.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("build the client of ReferenceGrants: %w", err)
	}
	definitions, err := metadata.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("build the client of definitions: %w", err)
	}
	out := &grants{objects: objects, definitions: definitions}
	if err := mgr.Add(out); err != nil {
		return nil, fmt.Errorf("add the watch of ReferenceGrants: %w", err)
	}
	return out, nil
}

func addIndexes(mgr ctrl.Manager) error {
	ctx := context.Background() // It only adds functions to the cache.
	for _, index := range []struct {
		object client.Object
		name   string
		of     client.IndexerFunc
	}{
		{&v1alpha1.LoadBalancer{}, indexService, servicesOf},
		{&v1alpha1.LoadBalancer{}, indexNamespace, namespacesOf},
		{&v1alpha1.AgentReport{}, indexOwner, ownerOf},
	} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, index.object, index.name, index.of); err != nil {
			return fmt.Errorf("index %T by %s: %w", index.object, index.name, err)
		}
	}
	return nil
}
