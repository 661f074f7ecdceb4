// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/metrics"
)

const (
	// statusInterval is the least time between two status writes, or two events, of one policy.
	statusInterval = time.Second
	// warmUp is how long after the start a status from before it may stand while the ledger fills.
	warmUp = 30 * time.Second
)

// Event reasons and actions.
const (
	eventRepaired = "DriftRepaired"
	eventFound    = "DriftFound"
	actionRepair  = "Repair"
	actionReport  = "Report"
	actionApply   = "Apply"
)

// policyReconciler computes the status of one policy from the ledger and tells its events.
type policyReconciler struct {
	client client.Client
	book   *book
	ledger *ledger
	events events.EventRecorder
	start  time.Time

	mu sync.Mutex
	// spoken is when each policy's status or events were last written.
	spoken map[types.UID]time.Time
	names  map[string]types.UID
}

// Reconcile implements reconcile.Reconciler.
func (r *policyReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	policy := &v1alpha1.LimitPolicy{}
	err := r.client.Get(ctx, request.NamespacedName, policy)
	if apierrors.IsNotFound(err) {
		r.forget(request.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get limit policy: %w", err)
	}
	if wait := r.wait(policy); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	next, settled, err := r.compute(ctx, policy)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !settled {
		return ctrl.Result{RequeueAfter: statusInterval}, nil
	}
	r.tellDrift(policy)
	return ctrl.Result{}, r.write(ctx, policy, next)
}

// compute gives the status of a policy. It is not settled while the ledger fills after a start and the
// status from before still speaks of this generation: writing would only flap.
func (r *policyReconciler) compute(ctx context.Context, policy *v1alpha1.LimitPolicy) (next v1alpha1.LimitPolicyStatus, settled bool, err error) {
	all := &metav1.PartialObjectMetadataList{}
	all.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.client.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return next, false, fmt.Errorf("list namespaces: %w", err)
	}
	page, readable, invalid := r.book.open(policy)
	sum := summary{}
	if readable {
		sum = r.ledger.summarize(policy, page, all.Items, func(namespace *metav1.PartialObjectMetadata) bool {
			return r.book.selects(page, namespace)
		})
	}
	if sum.unseen+sum.unreported > 0 && policy.Status.ObservedGeneration == policy.Generation && time.Since(r.start) < warmUp {
		return next, false, nil
	}
	r.export(policy.Name, &sum)
	return status(policy, &sum, r.ledger.recent(policy.UID), invalid), true, nil
}

func (r *policyReconciler) write(ctx context.Context, policy *v1alpha1.LimitPolicy, next v1alpha1.LimitPolicyStatus) error {
	if equality.Semantic.DeepEqual(policy.Status, next) {
		return nil
	}
	before := policy.DeepCopy()
	policy.Status = next
	r.spoke(policy.UID)
	err := r.client.Status().Patch(ctx, policy, client.MergeFrom(before), client.FieldOwner(v1alpha1.ManagedBy))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write status: %w", err)
	}
	r.tellCondition(policy, before)
	return nil
}

// tellCondition tells in an event that Ready changed its reason.
func (r *policyReconciler) tellCondition(policy, before *v1alpha1.LimitPolicy) {
	was, is := readyOf(before), readyOf(policy)
	if is == nil || was != nil && was.Reason == is.Reason || is.Reason == v1alpha1.ReasonProgressing {
		return
	}
	kind := corev1.EventTypeWarning
	if is.Status == metav1.ConditionTrue {
		kind = corev1.EventTypeNormal
	}
	r.events.Eventf(policy, nil, kind, is.Reason, actionApply, "%s", is.Message)
}

func readyOf(policy *v1alpha1.LimitPolicy) *metav1.Condition {
	for i := range policy.Status.Conditions {
		if policy.Status.Conditions[i].Type == v1alpha1.ConditionReady {
			return &policy.Status.Conditions[i]
		}
	}
	return nil
}

// tellDrift tells in one event what changed since the last.
func (r *policyReconciler) tellDrift(policy *v1alpha1.LimitPolicy) {
	drift, more := r.ledger.takeUntold(policy.UID)
	if drift == nil {
		return
	}
	r.spoke(policy.UID)
	kind, reason, action := corev1.EventTypeNormal, eventRepaired, actionRepair
	if !drift.Repaired {
		kind, reason, action = corev1.EventTypeWarning, eventFound, actionReport
	}
	r.events.Eventf(policy, nil, kind, reason, action, "%s", cut(driftText(drift, more)))
}

// driftText says what was changed by whom, and what became of it.
func driftText(drift *apply.Drift, more int) string {
	var parts []string
	for _, c := range drift.Changes {
		parts = append(parts, changeText(c))
	}
	text := drift.Ref.String() + ": " + strings.Join(parts, "; ")
	if drift.Repaired {
		text += "; repaired"
		if drift.Latency > 0 {
			text += " after " + drift.Latency.Round(100*time.Microsecond).String()
		}
	}
	if more > 0 {
		text += fmt.Sprintf(" (and %d more objects)", more)
	}
	return text
}

func changeText(c apply.Change) string {
	switch {
	case c.Path == "":
		return "deleted by " + c.Manager
	case c.Found == "":
		return fmt.Sprintf("%s removed by %s (was %s)", c.Path, c.Manager, c.Want)
	case c.Want == "":
		return fmt.Sprintf("%s=%s added by %s", c.Path, c.Found, c.Manager)
	default:
		return fmt.Sprintf("%s changed from %s to %s by %s", c.Path, c.Want, c.Found, c.Manager)
	}
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

// wait is how long the policy has to be silent yet.
func (r *policyReconciler) wait(policy *v1alpha1.LimitPolicy) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[policy.Name] = policy.UID
	return statusInterval - time.Since(r.spoken[policy.UID])
}

func (r *policyReconciler) spoke(policy types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spoken[policy] = time.Now()
}

func (r *policyReconciler) forget(name string) {
	r.mu.Lock()
	uid, ok := r.names[name]
	delete(r.names, name)
	delete(r.spoken, uid)
	r.mu.Unlock()
	if ok {
		r.ledger.forget(uid)
		r.book.close(uid)
	}
	metrics.ForgetLimitPolicy(name)
}
