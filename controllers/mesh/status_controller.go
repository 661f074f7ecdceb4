// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/internal/metrics"
	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// statusReconciler writes the status of a mesh from the ledger, and tells its events.
type statusReconciler struct {
	client client.Reader
	// own has the kinds of ownObjects.
	own    client.Reader
	writer client.Client
	ledger *ledger
	events events.EventRecorder
	// began is when the controllers began to work.
	began  func() time.Time
	voices pace.Voices
}

// Reconcile implements reconcile.Reconciler.
func (r *statusReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	mesh := &v1alpha1.Mesh{}
	err := r.client.Get(ctx, request.NamespacedName, mesh)
	if apierrors.IsNotFound(err) {
		r.voices.Forget(request.NamespacedName)
		metrics.ForgetMesh(request.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get mesh: %w", err)
	}
	if wait, _ := r.voices.Wait(mesh); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	found, err := r.gather(ctx, mesh)
	if err != nil {
		return ctrl.Result{}, err
	}
	next := status(mesh, found)
	known := found.outcome != nil && found.definitions != nil && !news(mesh, &next)
	if !r.voices.Warm(mesh, known, mesh.Status.ObservedGeneration == mesh.Generation, r.began()) {
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	metrics.Mesh(mesh.Name, &next)
	if first, more := r.ledger.takeUntold(mesh.Name, mesh.UID); first != nil {
		r.voices.Spoke(mesh)
		drift.Tell(r.events, mesh, first, more)
	}
	err = r.write(ctx, mesh, next)
	if apierrors.IsNotFound(err) {
		// It is gone, or the API server serves the kind anew since its definition changed: look again.
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	return ctrl.Result{}, err
}

// news reports whether something begins to go on by a status that did not by the one before. After a start it may be that the
// operator has not seen all yet.
func news(mesh *v1alpha1.Mesh, next *v1alpha1.MeshStatus) bool {
	is, was := ready(next.Conditions), ready(mesh.Status.Conditions)
	return meta.IsStatusConditionTrue(next.Conditions, v1alpha1.ConditionReconciling) && (was == nil || is.Reason != was.Reason)
}

// gather brings together what is known of a mesh.
func (r *statusReconciler) gather(ctx context.Context, mesh *v1alpha1.Mesh) (*evidence, error) {
	out := &evidence{definitions: r.ledger.readShared(sharedDefinitions), nodes: r.ledger.readShared(sharedNodes)}
	out.outcome, out.repairs = r.ledger.read(mesh.Name, mesh.UID)
	var err error
	out.ca, err = r.authority(ctx, mesh)
	return out, err
}

// authority tells of the authority that signs the certificates of workloads; nil where istiod has not told yet.
func (r *statusReconciler) authority(ctx context.Context, mesh *v1alpha1.Mesh) (*v1alpha1.MeshCA, error) {
	found := &corev1.ConfigMap{}
	err := r.own.Get(ctx, client.ObjectKey{Namespace: string(mesh.Spec.Namespace), Name: rootCertificate}, found)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get the root certificate: %w", err)
	}
	// There may be none, or what is there is none.
	if end, err := time.Parse(time.RFC3339, found.Annotations[annotationNotAfter]); err == nil {
		return &v1alpha1.MeshCA{NotAfter: metav1.NewTime(end)}, nil
	}
	return nil, nil
}

func (r *statusReconciler) write(ctx context.Context, mesh *v1alpha1.Mesh, next v1alpha1.MeshStatus) error {
	if equality.Semantic.DeepEqual(mesh.Status, next) {
		return nil
	}
	before := mesh.DeepCopy()
	mesh.Status = next
	r.voices.Spoke(mesh)
	err := r.writer.Status().Patch(ctx, mesh, client.MergeFrom(before), client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	r.voices.Spoke(mesh)
	drift.TellReady(r.events, mesh, ready(before.Status.Conditions), ready(mesh.Status.Conditions))
	r.tellUpgrade(mesh, before.Status.Upgrade, mesh.Status.Upgrade)
	return nil
}

// actionUpgrade is the action of events that tell of upgrades.
const actionUpgrade = "Upgrade"

// tellUpgrade tells in an event that an upgrade has come to another phase.
func (r *statusReconciler) tellUpgrade(mesh *v1alpha1.Mesh, was, is *v1alpha1.UpgradeProgress) {
	if is == nil || was != nil && was.Phase == is.Phase && was.To == is.To {
		return
	}
	kind, text := corev1.EventTypeNormal, "Istio "+is.To
	if is.From != "" {
		text = fmt.Sprintf("from Istio %s to %s", is.From, is.To)
	}
	if is.Message != "" {
		kind, text = corev1.EventTypeWarning, text+": "+is.Message
	}
	r.events.Eventf(mesh, nil, kind, actionUpgrade+string(is.Phase), actionUpgrade, "%s", conditions.Cut(text))
}

func ready(all []metav1.Condition) *metav1.Condition {
	return meta.FindStatusCondition(all, v1alpha1.ConditionReady)
}
