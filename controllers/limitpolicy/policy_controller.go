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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
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
	// cacheLag is how long to wait for the cache to show a status that was written.
	cacheLag = 100 * time.Millisecond
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
	// began is when the controllers began to work.
	began func() time.Time

	mu sync.Mutex
	// voices is what was said last of each policy, by name.
	voices map[string]voice
}

type voice struct {
	uid types.UID
	// at is when a status or an event was last written, version that of the last status written.
	at      time.Time
	version string
	// warm is true once all was known of the policy, or its status needed another word before that.
	warm bool
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
		return ctrl.Result{RequeueAfter: statusInterval}, nil
	}
	if found.known {
		r.export(policy.Name, &found.summary)
	}
	r.tellDrift(policy)
	err = r.write(ctx, policy, status(policy, found))
	if apierrors.IsNotFound(err) {
		// It is gone, or the API server serves the kind anew since its definition changed: look again.
		return ctrl.Result{RequeueAfter: statusInterval}, nil
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
	r.spoke(policy)
	err := r.client.Status().Patch(ctx, policy, client.MergeFrom(before), client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	r.spoke(policy)
	r.tellCondition(policy, before)
	return nil
}

// tellCondition tells in an event that Ready changed its reason.
func (r *policyReconciler) tellCondition(policy, before *v1alpha1.LimitPolicy) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil || was != nil && was.Reason == is.Reason || is.Reason == v1alpha1.ReasonProgressing {
		return
	}
	kind := corev1.EventTypeWarning
	if is.Status == metav1.ConditionTrue {
		kind = corev1.EventTypeNormal
	}
	r.events.Eventf(policy, nil, kind, is.Reason, actionApply, "%s", is.Message)
}

// tellDrift tells in one event what changed since the last.
func (r *policyReconciler) tellDrift(policy *v1alpha1.LimitPolicy) {
	drift, more := r.ledger.takeUntold(policy.UID)
	if drift == nil {
		return
	}
	r.spoke(policy)
	kind, reason, action := corev1.EventTypeNormal, eventRepaired, actionRepair
	if !drift.Repaired {
		kind, reason, action = corev1.EventTypeWarning, eventFound, actionReport
	}
	r.events.Eventf(policy, object(drift.Ref), kind, reason, action, "%s", cut(driftText(drift, more)))
}

// object is what an event relates to: events of different objects are told apart by it.
func object(ref apply.Ref) *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}}
	out.SetGroupVersionKind(ref.GroupVersionKind)
	return out
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

// wait is how long nothing may be said of the policy: it was just spoken of, or the cache does not show yet
// what was said.
func (r *policyReconciler) wait(policy *v1alpha1.LimitPolicy) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.voices[policy.Name]
	if last.uid != policy.UID {
		r.drop(last.uid)
		r.voices[policy.Name] = voice{uid: policy.UID}
		return 0
	}
	wait := statusInterval - time.Since(last.at)
	if order, err := resourceversion.CompareResourceVersion(policy.ResourceVersion, last.version); err == nil && order < 0 {
		wait = max(wait, cacheLag)
	}
	return wait
}

// warm is false while the ledger fills after a start and a status from before speaks of this spec: that
// stands, since another one would only flap.
func (r *policyReconciler) warm(policy *v1alpha1.LimitPolicy, found *evidence) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.voices[policy.Name]
	if !last.warm && found.unreported > 0 && policy.Status.ObservedGeneration == policy.Generation && time.Since(r.began()) < warmUp {
		return false
	}
	last.warm = true
	r.voices[policy.Name] = last
	return true
}

// spoke notes that a status or an event of the policy was written.
func (r *policyReconciler) spoke(policy *v1alpha1.LimitPolicy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.voices[policy.Name] = voice{uid: policy.UID, at: time.Now(), version: policy.ResourceVersion, warm: true}
}

func (r *policyReconciler) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(r.voices[name].uid)
	delete(r.voices, name)
	metrics.ForgetLimitPolicy(name)
}

// drop lets go of what is remembered of a policy that is gone.
func (r *policyReconciler) drop(uid types.UID) {
	r.ledger.forget(uid)
	r.book.close(uid)
}
