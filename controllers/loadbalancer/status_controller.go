// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
	"github.com/fairlead/fairlead/controllers/loadbalancer/render"
)

// statusReconciler writes the status of a load balancer from the ledger and from what its replicas say, and tells its
// events.
type statusReconciler struct {
	client client.Client
	// own has the Deployments and Services with their status.
	own    client.Reader
	ledger *ledger
	events events.EventRecorder
	// began is when the controllers began to work.
	began  func() time.Time
	voices pace.Voices
}

// Reconcile implements reconcile.Reconciler.
func (r *statusReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	lb := &v1alpha1.LoadBalancer{}
	err := r.client.Get(ctx, request.NamespacedName, lb)
	if apierrors.IsNotFound(err) || err == nil && lb.DeletionTimestamp != nil {
		r.voices.Forget(request.NamespacedName)
		metrics.ForgetLoadBalancer(request.Namespace, request.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get load balancer: %w", err)
	}
	if wait, _ := r.voices.Wait(lb); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	found, err := r.gather(ctx, lb)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !r.voices.Warm(lb, found.outcome != nil, lb.Status.ObservedGeneration == lb.Generation, r.began()) {
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	next := status(lb, found)
	metrics.LoadBalancer(lb.Namespace, lb.Name, next.Replicas.Desired, next.Replicas.Ready, next.Replicas.Current, problemCount(&next))
	if first, more := r.ledger.takeUntold(request.NamespacedName, lb.UID); first != nil {
		r.voices.Spoke(lb)
		drift.Tell(r.events, lb, first, more)
	}
	err = r.write(ctx, lb, next)
	if apierrors.IsNotFound(err) {
		// It is gone, or the API server serves the kind anew since its definition changed: look again.
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	return ctrl.Result{}, err
}

func problemCount(status *v1alpha1.LoadBalancerStatus) int32 {
	if status.Problems == nil {
		return 0
	}
	return status.Problems.Count
}

// gather brings together what is known of a load balancer.
func (r *statusReconciler) gather(ctx context.Context, lb *v1alpha1.LoadBalancer) (*evidence, error) {
	out := &evidence{}
	key := client.ObjectKeyFromObject(lb)
	out.outcome, out.repairs = r.ledger.read(key, lb.UID)
	name := types.NamespacedName{Namespace: lb.Namespace, Name: render.ObjectName(lb.Name)}
	deployment, service := &appsv1.Deployment{}, &corev1.Service{}
	if ok, err := r.find(ctx, name, deployment); err != nil {
		return nil, err
	} else if ok {
		out.deployment = deployment
	}
	if ok, err := r.find(ctx, name, service); err != nil {
		return nil, err
	} else if ok {
		out.service = service
	}
	var err error
	out.reports, err = r.reports(ctx, key)
	return out, err
}

func (r *statusReconciler) find(ctx context.Context, name types.NamespacedName, object client.Object) (bool, error) {
	err := r.own.Get(ctx, name, object)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("get %T %s: %w", object, name, err)
	}
	return err == nil && object.GetDeletionTimestamp() == nil, nil
}

// reports lists what the replicas say that there are. A report counts only as long as its pod lives: it goes with
// the pod, but not at the same moment.
func (r *statusReconciler) reports(ctx context.Context, of types.NamespacedName) ([]v1alpha1.ReplicaReport, error) {
	var list v1alpha1.AgentReportList
	if err := r.client.List(ctx, &list, client.InNamespace(of.Namespace), client.MatchingFields{indexOwner: of.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list agent reports: %w", err)
	}
	var out []v1alpha1.ReplicaReport
	for i := range list.Items {
		report := &list.Items[i]
		pod := &corev1.Pod{}
		err := r.client.Get(ctx, client.ObjectKeyFromObject(report), pod, client.UnsafeDisableDeepCopy)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("get the pod of agent report %s: %w", report.Name, err)
		}
		if pod.DeletionTimestamp == nil && ownedBy(report, pod.UID) {
			out = append(out, *report.Report.DeepCopy())
		}
	}
	return out, nil
}

func ownedBy(object client.Object, uid types.UID) bool {
	for _, owner := range object.GetOwnerReferences() {
		if owner.UID == uid {
			return true
		}
	}
	return false
}

func (r *statusReconciler) write(ctx context.Context, lb *v1alpha1.LoadBalancer, next v1alpha1.LoadBalancerStatus) error {
	if equality.Semantic.DeepEqual(lb.Status, next) {
		return nil
	}
	before := lb.DeepCopy()
	lb.Status = next
	r.voices.Spoke(lb)
	err := r.client.Status().Patch(ctx, lb, client.MergeFrom(before), client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	r.voices.Spoke(lb)
	drift.TellReady(r.events, lb, ready(before.Status.Conditions), ready(lb.Status.Conditions))
	return nil
}

func ready(conditions []metav1.Condition) *metav1.Condition {
	return meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
}
