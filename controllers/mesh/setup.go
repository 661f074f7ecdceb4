// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mesh installs Istio's control planes and keeps them as Meshes ask for them.
//
// Three reconcilers share a ledger: one pursues what a mesh asks for, one writes its status, and one applies what meshes
// share: the definitions of Istio's kinds, and what runs on nodes. A fourth labels the namespaces that are members.
//
//	observe ──▶ decide (rollout) ──▶ remember (history) ──▶ render ──▶ apply, label, restart ──▶ ledger ──▶ status
package mesh

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/backoff"
	"github.com/fairlead/fairlead/controllers/internal/pace"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/probe"
	"github.com/fairlead/fairlead/controllers/mesh/workloads"
)

// Options are what the controllers need beside a manager.
type Options struct {
	// Engine applies the sets; it must know Kinds.
	Engine *apply.Engine
	// Catalogue has the versions of Istio.
	Catalogue *catalogue.Catalogue
	// Namespace is the operator's own, which is no member of any mesh.
	Namespace string
	// Workers is how many meshes are applied at the same time.
	Workers int
	// Now is the clock that the ends of life of versions are measured by; nil for the machine's.
	Now func() time.Time
}

// parts are what the controllers are made of.
type parts struct {
	mgr       ctrl.Manager
	options   Options
	own       cache.Cache
	observer  *observer
	ledger    *ledger
	prober    *prober
	watches   *watches
	resources metadata.Interface
	// The triggers ask for meshes, their statuses, namespaces, and what meshes share.
	again, statuses, labels, sharing *pace.Trigger
}

// SetupWithManager adds the controllers to a manager.
func SetupWithManager(mgr ctrl.Manager, options Options) error {
	p, err := newParts(mgr, options)
	if err != nil {
		return err
	}
	p.ledger.changed = func(mesh string) { p.statuses.Fire(types.NamespacedName{Name: mesh}) }
	p.ledger.relabel = func(namespace string) { p.labels.Fire(types.NamespacedName{Name: namespace}) }
	p.ledger.wanted = func() {
		p.sharing.Fire(types.NamespacedName{Name: sharedDefinitions})
		p.sharing.Fire(types.NamespacedName{Name: sharedNodes})
	}
	options.Catalogue.OnChange(p.everybody)
	for name, add := range map[string]func() error{"": p.meshes, " of what is shared": p.shared, " of statuses": p.status, " of members": p.members} {
		if err := add(); err != nil {
			return fmt.Errorf("set up the controller%s: %w", name, err)
		}
	}
	return nil
}

func newParts(mgr ctrl.Manager, options Options) (*parts, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	ask, err := dryRuns(mgr)
	if err != nil {
		return nil, err
	}
	own, err := ownCache(mgr)
	if err != nil {
		return nil, err
	}
	versions, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("build the client of the cluster's version: %w", err)
	}
	resources, err := metadata.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("build the client of Istio's objects: %w", err)
	}
	all, known := &selections{}, newLedger()
	p := &parts{
		mgr: mgr, options: options, own: own, ledger: known, resources: resources,
		watches: &watches{client: mgr.GetClient(), selections: all, ledger: known},
		again:   pace.NewTrigger(pace.Gather), statuses: pace.NewTrigger(pace.Gather),
		labels: pace.NewTrigger(0), sharing: pace.NewTrigger(pace.Gather),
	}
	p.prober = newProber(ask, func(mesh string) { p.again.Fire(types.NamespacedName{Name: mesh}) })
	running, err := workloads.New(mgr, func(change workloads.Change) {
		for _, request := range p.watches.ofChange(context.Background(), change) {
			p.again.Fire(request.NamespacedName)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("build the cache of workloads: %w", err)
	}
	p.observer = &observer{
		client: mgr.GetClient(), own: own, live: mgr.GetAPIReader(), workloads: running, kubernetes: &kubernetes{client: versions}, ledger: p.ledger,
		selections: all, operator: options.Namespace, up: p.again.Began,
	}
	return p, nil
}

// everybody asks for all meshes, and what they share, when versions have come. At the start they are asked for anyway.
func (p *parts) everybody() {
	if p.again.Began().IsZero() {
		return
	}
	for _, request := range p.watches.all(context.Background(), func(*v1alpha1.Mesh) bool { return true }) {
		p.again.Fire(request.NamespacedName)
	}
	p.ledger.wanted()
}

// dryRuns asks by pods that are tried and not made. Warnings are for those who make pods.
func dryRuns(mgr ctrl.Manager) (inject, error) {
	cfg := rest.CopyConfig(mgr.GetConfig())
	cfg.WarningHandler = rest.NoWarnings{}
	pods, err := client.New(cfg, client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("build the client of dry runs: %w", err)
	}
	return func(ctx context.Context, namespace, revision string) (probe.Result, error) {
		return probe.Inject(ctx, pods, namespace, revision)
	}, nil
}

// meshes adds the controller that applies meshes.
func (p *parts) meshes() error {
	part := handler.EnqueueRequestsFromMapFunc(p.watches.ofPart)
	b := ctrl.NewControllerManagedBy(p.mgr).Named("mesh").
		For(&v1alpha1.Mesh{}, builder.WithPredicates(wishesChanged())).
		Watches(&v1alpha1.Mesh{}, p.watches.others()).
		Watches(partial(namespaces), handler.EnqueueRequestsFromMapFunc(p.watches.inNamespace), builder.OnlyMetadata, builder.WithPredicates(goes())).
		Watches(partial(namespaces), p.watches.ofNamespace(), builder.OnlyMetadata, builder.WithPredicates(relabelled())).
		WatchesRawSource(source.Kind[client.Object](p.own, &appsv1.Deployment{}, part)).
		WatchesRawSource(source.Kind[client.Object](p.own, &admissionv1.MutatingWebhookConfiguration{}, part)).
		WatchesRawSource(source.Func(p.again.Start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: p.options.Workers, RateLimiter: backoff.Limiter()})
	for _, kind := range Kinds() {
		b = b.WatchesRawSource(p.source(kind, requestOf))
	}
	return b.Complete(&reconciler{
		observer: p.observer, writer: p.mgr.GetClient(), engine: p.options.Engine, prober: p.prober,
		resolver: &resolver{catalogue: p.options.Catalogue, now: p.options.Now, checked: map[string]verdictOfValues{}},
		planner:  &planner{catalogue: p.options.Catalogue, kept: map[string]map[string]*plane{}},
		history:  history.New(p.mgr.GetAPIReader(), p.mgr.GetClient()),
	})
}

// shared adds the controller that applies what meshes share. It works on one thing at a time.
func (p *parts) shared() error {
	b := ctrl.NewControllerManagedBy(p.mgr).Named("mesh-shared").
		WatchesRawSource(source.Func(p.startSharing)).
		WatchesRawSource(source.Kind[client.Object](p.own, partial(definitions), handler.Funcs{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, RateLimiter: backoff.Limiter()})
	for _, kind := range Kinds() {
		b = b.WatchesRawSource(p.source(kind, sharedRequestOf))
	}
	return b.Complete(&sharedReconciler{
		client: p.mgr.GetClient(), own: p.own, objects: p.resources, engine: p.options.Engine, ledger: p.ledger,
		catalogue: p.options.Catalogue, kubernetes: p.observer.kubernetes,
	})
}

// startSharing asks for all that is shared once, also where no mesh is left that would.
func (p *parts) startSharing(ctx context.Context, queue pace.Queue) error {
	err := p.sharing.Start(ctx, queue)
	p.ledger.wanted()
	return err
}

// statusWorkers is how many statuses are written at the same time.
const statusWorkers = 4

// status adds the controller that writes statuses.
func (p *parts) status() error {
	return ctrl.NewControllerManagedBy(p.mgr).Named("mesh-status").
		For(&v1alpha1.Mesh{}, builder.WithPredicates(wishesChanged())).
		WatchesRawSource(source.Kind[client.Object](p.own, &corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(p.watches.inNamespaceOf))).
		WatchesRawSource(source.Func(p.statuses.Start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: statusWorkers, RateLimiter: backoff.Limiter()}).
		Complete(&statusReconciler{
			client: p.mgr.GetClient(), own: p.own, writer: p.mgr.GetClient(), ledger: p.ledger,
			events: p.mgr.GetEventRecorder(v1alpha1.ManagedBy), began: p.statuses.Began,
		})
}

// members adds the controller that labels namespaces.
func (p *parts) members() error {
	return ctrl.NewControllerManagedBy(p.mgr).Named("mesh-members").
		For(partial(namespaces), builder.OnlyMetadata, builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.Mesh{}, handler.EnqueueRequestsFromMapFunc(p.watches.candidates), builder.WithPredicates(wishesChanged())).
		WatchesRawSource(source.Func(p.labels.Start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: p.options.Workers, RateLimiter: backoff.Limiter()}).
		Complete(&membersReconciler{client: p.mgr.GetClient(), ledger: p.ledger, selections: p.observer.selections, own: p.options.Namespace, pauses: map[string]pause{}})
}

func (p *parts) source(kind apply.Kind, of func(set string) (reconcile.Request, bool)) source.Source {
	return p.options.Engine.Source(kind.GVK, func(object *apply.Object) (reconcile.Request, bool) {
		return of(p.options.Engine.SetOf(kind.GVK, object))
	})
}

// ownCache holds what ownObjects says. The manager's cache has those of everybody, and of each only what others look at.
func ownCache(mgr ctrl.Manager) (cache.Cache, error) {
	own, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), ByObject: ownObjects(),
	})
	if err != nil {
		return nil, fmt.Errorf("build the cache of control planes: %w", err)
	}
	if err := mgr.Add(own); err != nil {
		return nil, fmt.Errorf("add the cache of control planes: %w", err)
	}
	return own, nil
}
