// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// reportReconciler holds what exists in one namespace against the limits of its policies. It writes
// nothing: what it finds goes to the ledger.
type reportReconciler struct {
	observer *observer
	ledger   *ledger
}

// Reconcile implements reconcile.Reconciler.
func (r *reportReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	seen, err := r.observer.namespace(ctx, request.Name)
	if err != nil || len(seen.policies) == 0 {
		return ctrl.Result{}, err
	}
	subjects, err := r.observer.subjects(ctx, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.ledger.reported(&seen, findings(&seen, subjects))
	return ctrl.Result{}, nil
}
