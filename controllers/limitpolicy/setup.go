// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limitpolicy keeps the limits of all namespaces equal to what the LimitPolicies say.
//
// Three reconcilers share a ledger: one keyed by namespace covers it, one keyed by namespace holds what
// exists there against the limits, and one keyed by policy writes the status.
package limitpolicy

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/backoff"
	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// Options are what the controllers need beside a manager.
type Options struct {
	// Engine applies the sets; it must know Kinds.
	Engine *apply.Engine
	// Namespace is the operator's own, which no policy selects unless it names it.
	Namespace string
	// Workers is how many namespaces are covered at the same time.
	Workers int
}

// SetupWithManager adds the controllers to a manager.
func SetupWithManager(mgr ctrl.Manager, options Options) error {
	book, ledger := newBook(options.Namespace), newLedger()
	observer := &observer{client: mgr.GetClient(), engine: options.Engine, book: book}
	policies, reports := pace.NewTrigger(pace.Gather), pace.NewTrigger(reportDelay)
	ledger.changed = func(policy string) { policies.Fire(types.NamespacedName{Name: policy}) }
	cover := &namespaceReconciler{observer: observer, engine: options.Engine, ledger: ledger, reportSoon: func(namespace string) { reports.Fire(types.NamespacedName{Name: namespace}) }}
	watches := &watches{client: mgr.GetClient(), book: book, ledger: ledger}

	err := ctrl.NewControllerManagedBy(mgr).Named("limitpolicy-namespace").
		Watches(partialNamespace(), watches.namespaceEvents(), builder.OnlyMetadata).
		Watches(&v1alpha1.LimitPolicy{}, watches.policyEvents()).
		WatchesRawSource(options.Engine.Source(limitRanges, inNamespace)).
		WatchesRawSource(options.Engine.Source(resourceQuotas, inNamespace)).
		WithOptions(controller.Options{MaxConcurrentReconciles: options.Workers, RateLimiter: backoff.Limiter()}).
		Complete(cover)
	if err != nil {
		return fmt.Errorf("set up the namespace controller: %w", err)
	}
	if err := setupReports(mgr, &reportReconciler{observer: observer, ledger: ledger}, reports); err != nil {
		return fmt.Errorf("set up the report controller: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).Named("limitpolicy-status").
		For(&v1alpha1.LimitPolicy{}, builder.WithPredicates(specOrPauseChanged())).
		Watches(partialNamespace(), watches.selectionEvents(), builder.OnlyMetadata).
		WatchesRawSource(source.Func(policies.Start)).
		WithOptions(controller.Options{RateLimiter: backoff.Limiter()}).
		Complete(&policyReconciler{
			client: mgr.GetClient(), book: book, ledger: ledger, events: mgr.GetEventRecorder(v1alpha1.ManagedBy),
			began: policies.Began,
		})
	if err != nil {
		return fmt.Errorf("set up the status controller: %w", err)
	}
	return nil
}

func setupReports(mgr ctrl.Manager, reconciler reconcile.Reconciler, trigger *pace.Trigger) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("limitpolicy-report").
		WithOptions(controller.Options{RateLimiter: backoff.Limiter()}).
		WatchesRawSource(source.Func(trigger.Start))
	for _, kind := range subjectKinds() {
		b = b.Watches(kind, namespaceOf(trigger))
	}
	return b.Complete(reconciler)
}

func inNamespace(object *apply.Object) (reconcile.Request, bool) {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: object.Namespace}}, true
}
