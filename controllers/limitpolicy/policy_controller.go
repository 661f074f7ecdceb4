// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/internal/metrics"
	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// policyReconciler computes the status of one policy from the ledger and tells its events.
type policyReconciler struct {
	client client.Client
	book   *book
	ledger *ledger
	events events.EventRecorder
	// began is when the controllers began to work.
	began func() time.Time

	voices pace.Voices
}

// Reconcile implements reconcile.Reconciler.
func (r *policyReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	policy := &v1alpha1.LimitPolicy{}
	err := r.client.Get(ctx, request.NamespacedName, policy)
	if apierrors.IsNotFound(err) || err == nil && policy.DeletionTimestamp != nil {
		r.forget(request.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get limit policy: %w", err)
	}
	if wait := r.wait(policy); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	found, err := r.gather(ctx, policy)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !r.warm(policy, found) {
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	if found.known {
		r.export(policy.Name, &found.summary)
	}
	r.tellDrift(policy)
	err = r.write(ctx, policy, status(policy, found))
	if apierrors.IsNotFound(err) {
		// It is gone, or the API server serves the kind anew since its definition changed: look again.
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	return ctrl.Result{}, err
}

// gather brings together what is known of a policy.
func (r *policyReconciler) gather(ctx context.Context, policy *v1alpha1.LimitPolicy) (*evidence, error) {
	out := &evidence{repairs: r.ledger.recent(policy.UID)}
	page, err := r.book.open(policy)
	out.invalid = err
	if page == nil {
		return out, nil
	}
	out.known = true
	all := &metav1.PartialObjectMetadataList{}
	all.SetGroupVersionKind(namespaceLists)
	if err := r.client.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var picked []*metav1.PartialObjectMetadata
	for i := range all.Items {
		if namespace := &all.Items[i]; namespace.DeletionTimestamp == nil && r.book.selects(page, namespace) {
			picked = append(picked, namespace)
		}
	}
	out.summary = r.ledger.summarize(selected{page: page, name: policy.Name, uid: policy.UID}, picked)
	return out, nil
}

func (r *policyReconciler) write(ctx context.Context, policy *v1alpha1.LimitPolicy, next v1alpha1.LimitPolicyStatus) error {
	if equality.Semantic.DeepEqual(policy.Status, next) {
		return nil
	}
	before := policy.DeepCopy()
	policy.Status = next
	r.voices.Spoke(policy)
	err := r.client.Status().Patch(ctx, policy, client.MergeFrom(before), client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	r.voices.Spoke(policy)
	drift.TellReady(r.events, policy, meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady),
		meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionReady))
	return nil
}

// tellDrift tells in one event what changed since the last.
func (r *policyReconciler) tellDrift(policy *v1alpha1.LimitPolicy) {
	first, more := r.ledger.takeUntold(policy.UID)
	if first == nil {
		return
	}
	r.voices.Spoke(policy)
	drift.Tell(r.events, policy, first, more)
}

func (r *policyReconciler) export(policy string, sum *summary) {
	violations := map[metrics.Violation]int{}
	for rule, t := range sum.report.rules {
		if t.refused > 0 {
			violations[metrics.Violation{Effect: string(v1alpha1.EffectRefused), Rule: rule}] = t.refused
		}
		if t.changed > 0 {
			violations[metrics.Violation{Effect: string(v1alpha1.EffectChanged), Rule: rule}] = t.changed
		}
	}
	metrics.LimitPolicy(policy, sum.selected, sum.covered, sum.failed, violations)
}

// wait is how long nothing may be said of the policy.
func (r *policyReconciler) wait(policy *v1alpha1.LimitPolicy) time.Duration {
	wait, replaced := r.voices.Wait(policy)
	r.drop(replaced)
	return wait
}

// warm is false while the ledger fills after a start and a status from before speaks of this spec: that
// stands, since another one would only flap.
func (r *policyReconciler) warm(policy *v1alpha1.LimitPolicy, found *evidence) bool {
	return r.voices.Warm(policy, found.unreported == 0, policy.Status.ObservedGeneration == policy.Generation, r.began())
}

func (r *policyReconciler) forget(name string) {
	r.drop(r.voices.Forget(types.NamespacedName{Name: name}))
	metrics.ForgetLimitPolicy(name)
}

// drop lets go of what is remembered of a policy that is gone.
func (r *policyReconciler) drop(uid types.UID) {
	r.ledger.forget(uid)
	r.book.close(uid)
}
