// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// namespaceReconciler keeps the limits of one namespace equal to what all policies that select it come to.
// Its key is the namespace, so that a thousand namespaces are a thousand small jobs.
type namespaceReconciler struct {
	observer *observer
	engine   *apply.Engine
	ledger   *ledger
	// reportSoon asks for a new report of the namespace.
	reportSoon func(namespace string)
}

// Reconcile implements reconcile.Reconciler.
func (r *namespaceReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	seen, err := r.observer.namespace(ctx, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	effective := render.Namespace(seen.name, seen.inForce())
	set := seen.set(effective)
	if r.ledger.replaced(seen.name, seen.uid) {
		r.engine.Renew(set.Key)
	}
	result, err := r.engine.Apply(ctx, set)
	r.ledger.covered(seen.name, outcome{
		namespace: seen.uid,
		policies:  seen.policies,
		hold:      seen.hold,
		result:    result,
		failure:   conditions.FailureClass(err),
		lost:      lost(&seen, effective),
		foreign:   seen.beside(effective),
	})
	r.reportSoon(seen.name)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: result.RequeueAfter}, nil
}

// lost adds to the bounds that policies in force lost those that a dry run would lose.
func lost(seen *observed, effective render.Effective) []render.Lost {
	out := effective.Lost
	for _, policy := range seen.policies {
		if policy.enforced {
			continue
		}
		for _, l := range render.Namespace(seen.name, append(seen.inForce(), policy.parsed)).Lost {
			if l.Policy == policy.name {
				out = append(out, l)
			}
		}
	}
	return out
}
